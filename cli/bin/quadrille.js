#!/usr/bin/env node
// The installed command. In this repository it runs the sources, on which examples and tests run too.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const [major, minor] = process.versions.node.split('.').map(Number)

if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`quadrille needs Node 22.18 or newer, and this is Node ${process.versions.node}`)
  process.exitCode = 2
} else if (import.meta.url.includes('/node_modules/')) {
  const { main } = await import('../dist/main.js')
  process.exitCode = await main(process.argv.slice(2))
} else {
  const sources = fileURLToPath(new URL('../src/run.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=quadrille-source', sources, ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  child.on('close', (code, signal) => (process.exitCode = code ?? (signal ? 130 : 1)))
}
