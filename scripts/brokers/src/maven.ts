/** Java programs from Maven artifacts, which Maven finds as it is set up on this machine. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { find } from './process.ts'
import { cacheFolder } from './cache.ts'

/** `group:artifact:version` */
export type Artifact = `${string}:${string}:${string}`

/** What Java programs need, in one sentence; undefined when it is there. */
export function missingForJava(): string | undefined {
  const without = ['java', 'mvn'].filter((program) => find(program) === undefined)
  if (without.length === 0) return undefined
  return `${without.join(' and ')} not found; install a JDK (17 or newer) and Maven (Debian: apt-get install default-jdk-headless maven)`
}

/** The class path of artifacts and all they need. Maven resolves it once; later it comes from the cache. */
export async function classPath(name: string, artifacts: readonly Artifact[]): Promise<string> {
  const file = join(cacheFolder('classpath'), `${name}-${artifacts[0]!.split(':')[2]}.txt`)
  if (existsSync(file)) {
    const cached = readFileSync(file, 'utf8').trim()
    if (cached.split(delimiter).every((jar) => existsSync(jar))) return cached
  }
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-maven-'))
  try {
    writeFileSync(join(folder, 'pom.xml'), pom(artifacts))
    const output = join(folder, 'classpath.txt')
    const args = [
      '-q',
      '-B',
      '-f',
      join(folder, 'pom.xml'),
      'dependency:build-classpath',
      `-Dmdep.outputFile=${output}`,
    ]
    await promisify(execFile)(find('mvn')!, args)
    mkdirSync(join(file, '..'), { recursive: true })
    // Written beside and renamed: two processes may do this at the same time.
    writeFileSync(`${file}.${process.pid}`, readFileSync(output))
    renameSync(`${file}.${process.pid}`, file)
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    const { stdout = '' } = error as { stdout?: string }
    throw new Error(`Maven could not resolve ${artifacts.join(', ')}: ${(error as Error).message}\n${stdout}`, {
      cause: error,
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function pom(artifacts: readonly Artifact[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [group, name, version] = artifact.split(':')
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`
  })
  return [
    '<project><modelVersion>4.0.0</modelVersion>',
    '<groupId>quadrille</groupId><artifactId>broker</artifactId><version>1</version>',
    `<dependencies>${dependencies.join('\n')}</dependencies></project>`,
  ].join('\n')
}
