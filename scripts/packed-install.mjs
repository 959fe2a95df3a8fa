// Proves that what would be published works: packs every package, installs the tarballs into an empty folder without the
// network, looks for links that lead nowhere in what they say, runs and type-checks the README's hello world there, and loads
// every public entry point.
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fencesOf } from './doc-examples.ts'
import { linkedFiles } from './packed-documents.ts'
import { packages, root } from './repository.ts'

const folder = mkdtempSync(join(tmpdir(), 'quadrille-packed-'))
const shell = process.platform === 'win32'

/** The exit code of a failed step is that of the whole; what the step said is shown by then. */
class StepFailed extends Error {}

function run(command, args, options = {}) {
  try {
    return execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options })
  } catch (error) {
    throw new StepFailed(`${command} ${args.join(' ')}\n${error.stdout ?? ''}${error.stderr ?? error.message}`)
  }
}

const node = (...args) => run(process.execPath, args)
const npm = (args, cwd = folder) => run('npm', args, { cwd, shell })

/**
 * Makes a package that is installed in the repository visible in the folder, as if it had been installed there: the one that
 * `user`, a package of the repository, gets, which has its own where others want another version.
 */
function link(name, user = '.') {
  const place = join(folder, 'node_modules', name)
  const places = [user, '.'].map((path) => join(root, path, 'node_modules', name))
  const installed = places.find((path) => existsSync(path))
  if (existsSync(place)) return
  if (installed === undefined) throw new StepFailed(`${name} is not installed in the repository`)
  mkdirSync(dirname(place), { recursive: true })
  symlinkSync(installed, place, 'junction')
}

function typeCheck(files, skipLibCheck) {
  const compilerOptions = {
    strict: true,
    noEmit: true,
    module: 'nodenext',
    target: 'es2024',
    types: ['node'],
    skipLibCheck,
    exactOptionalPropertyTypes: true,
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  node(join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', '.')
}

function installTarballs(manifests) {
  const tarballs = manifests.map(({ path }) => {
    const [packed] = Object.values(JSON.parse(npm(['pack', '--json', '--pack-destination', folder], join(root, path))))
    const stray = packed.files.map((file) => file.path).filter((file) => /(^|\/)test\/|\.test\./.test(file))
    if (stray.length > 0) throw new StepFailed(`${packed.name} would publish ${stray.join(', ')}`)
    return `./${packed.filename}`
  })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  // What is there already, npm does not fetch.
  for (const { dependencies = {}, path } of manifests) for (const name of Object.keys(dependencies)) link(name, path)
  npm(['install', '--offline', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error', ...tarballs])
}

/** Every package has a README, and no document in it links to a file that was not shipped. */
function tryDocuments(manifests) {
  for (const { name } of manifests) {
    const installed = join(folder, 'node_modules', name)
    const pages = existsSync(join(installed, 'docs')) ? readdirSync(join(installed, 'docs'), { recursive: true }) : []
    const documents = pages.filter((page) => page.endsWith('.md')).map((page) => join('docs', page))
    for (const document of ['README.md', ...documents]) {
      const path = join(installed, document)
      if (!existsSync(path)) throw new StepFailed(`${name} would be published without ${document}`)
      const dead = linkedFiles(readFileSync(path, 'utf8')).filter((file) => !existsSync(join(dirname(path), file)))
      if (dead.length > 0)
        throw new StepFailed(`${document} of ${name} links to ${dead.join(', ')}, which is not there`)
    }
  }
}

/** Runs the README's hello world as a user would, and compares what it prints with what the README says. */
function tryHello() {
  const fences = fencesOf({ path: 'README.md', text: readFileSync(join(root, 'README.md'), 'utf8') })
  const named = (info) => {
    const fence = fences.find((candidate) => candidate.info === info)
    if (fence === undefined) throw new StepFailed(`README.md has no fence marked "${info}"`)
    return fence.code
  }
  const hello = named('ts hello')
  for (const [, name] of hello.matchAll(/from '((?:@[^'/]+\/)?[^'/]+)/g)) if (!name.startsWith('node:')) link(name)
  writeFileSync(join(folder, 'hello.ts'), `${hello}\n`)
  const printed = node('hello.ts').trim()
  const promised = named('text hello-output').trim()
  if (printed !== promised) throw new StepFailed(`hello world prints\n${printed}\nbut README.md says\n${promised}`)
  typeCheck(['hello.ts'], false)
}

/** Runs the installed command on a choreography that is in order. */
function tryCommand() {
  const text = `
    import { choreography, event, service } from 'quadrille'
    import { defineConfig } from '@quadrille/cli'
    import * as z from 'zod'
    const Asked = event('asked', { key: 'id', schema: z.object({ id: z.string() }) })
    const Answered = event('answered', { key: 'id', schema: z.object({ id: z.string() }) })
    const desk = service('desk').on(Asked, { emits: [Answered] }, ({ id }) => Answered({ id }))
    export default defineConfig({
      choreographies: choreography('talk', { services: [desk], starts: [Asked], ends: { success: [Answered] } }),
    })`
  writeFileSync(join(folder, 'quadrille.config.ts'), text)
  link('zod')
  const printed = node('node_modules/@quadrille/cli/bin/quadrille.js', 'check')
  if (!printed.includes('Nothing found.')) throw new StepFailed(`quadrille check prints\n${printed}`)
  typeCheck(['quadrille.config.ts'], true)
}

/** Loads every entry point from the built files, and type-checks the import of each. */
function tryEntryPoints(manifests) {
  const entries = manifests.flatMap(({ name, exports, peerDependencies = {} }) => {
    for (const peer of Object.keys(peerDependencies)) link(peer)
    return Object.keys(exports)
      .filter((subpath) => exports[subpath]?.types !== undefined)
      .map((subpath) => name + subpath.slice(1))
  })
  const code = entries.map((entry, index) => `import * as entry${index} from '${entry}'\n`).join('')
  const use = `console.log([${entries.map((_, index) => `entry${index}`).join(', ')}].length)\n`
  writeFileSync(join(folder, 'entries.ts'), code + use)
  node('entries.ts')
  typeCheck(['entries.ts'], true)
  return entries
}

try {
  run(process.execPath, [join(root, 'scripts', 'build.mjs')])
  const manifests = packages().map((path) => ({
    path,
    ...JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')),
  }))
  installTarballs(manifests)
  link('@types/node')
  const entries = tryEntryPoints(manifests)
  tryDocuments(manifests)
  tryHello()
  tryCommand()
  console.log(`packed and used ${entries.join(', ')}`)
} catch (error) {
  if (!(error instanceof StepFailed)) throw error
  console.error(error.message)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
