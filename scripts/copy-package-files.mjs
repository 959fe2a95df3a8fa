// Runs as `prepack` in a package's folder: a tarball carries the licence and a README, and that of core the docs.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { asPacked, readmeOf } from './packed-documents.ts'
import { root, walk } from './repository.ts'

const folder = relative(root, process.cwd()).replaceAll('\\', '/')
const inCore = folder === 'core'

function copyDocument(path, to) {
  const text = asPacked({ path, text: readFileSync(join(root, path), 'utf8') }, inCore)
  mkdirSync(dirname(to), { recursive: true })
  writeFileSync(to, text)
}

copyFileSync(join(root, 'LICENSE'), 'LICENSE')
const readme = readmeOf(folder)
if (existsSync(join(root, readme))) copyDocument(readme, 'README.md')
if (inCore) {
  rmSync('docs', { recursive: true, force: true })
  for (const path of walk(['docs'])) copyDocument(path, path)
}
