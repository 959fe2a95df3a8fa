// Builds dist/ of every published package with tsc: core first, because the others see its declarations.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { packages, root } from './repository.ts'

const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')

for (const folder of packages()) {
  rmSync(join(root, folder, 'dist'), { recursive: true, force: true })
  const done = spawnSync(process.execPath, [tsc, '-p', `${folder}/tsconfig.build.json`], {
    cwd: root,
    stdio: 'inherit',
  })
  if (done.status !== 0) process.exit(1)
  console.log(`built ${folder}`)
}
