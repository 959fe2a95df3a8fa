// Runs as `prepack` in a package's folder: a tarball carries the licence, and that of core the README.
import { copyFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { root } from './repository.ts'

const names = basename(process.cwd()) === 'core' ? ['LICENSE', 'README.md'] : ['LICENSE']
for (const name of names) copyFileSync(join(root, name), join(process.cwd(), name))
