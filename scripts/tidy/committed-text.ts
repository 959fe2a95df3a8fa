/** What no committed file may contain: traces of the machine it was written on. */
import { at } from './source-file.ts'
import type { Rule } from './source-file.ts'

const machinePath = /(?<![\w.~-])\/(?:work|tmp|home|root|Users)\/\w/g

/** No path of somebody's machine; temporary folders come from os.tmpdir() or mktemp. */
export const noMachinePaths: Rule = (files) =>
  files.flatMap((file) =>
    [...file.text.matchAll(machinePath)].map(
      (match) => `${at(file, match.index)}: ${match[0]}...: a path of one machine`,
    ),
  )

const registry = /https?:\/\/[^\s"'<>)]*\bregistry\b/g

/** No registry host; the lockfile leaves it open where packages come from (.npmrc). */
export const noRegistryHosts: Rule = (files) =>
  files.flatMap((file) => [
    ...[...file.text.matchAll(registry)].map((match) => `${at(file, match.index)}: ${match[0]}: names a registry`),
    ...(file.path === 'package-lock.json'
      ? [...file.text.matchAll(/"resolved": "\w+:\/\/[^"]+"/g)].map((match) => `${at(file, match.index)}: ${match[0]}`)
      : []),
  ])
