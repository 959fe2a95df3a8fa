/** Documents as packages ship them: a link leads to a file that is shipped, too, or it is text. */
import { posix } from 'node:path'
import type { Document } from './doc-examples.ts'

/** The document that is the README of the package in this folder, unless the folder has one of its own. */
export function readmeOf(folder: string): string {
  if (folder === 'core') return 'README.md'
  if (folder === 'cli') return 'docs/check.md'
  return folder.startsWith('wires/') ? `docs/${folder}.md` : `docs/${posix.basename(folder)}.md`
}

/** Where a file of the repository is in the package `quadrille`; undefined when it is in none. */
function placeInCore(path: string): string | undefined {
  if (path === 'README.md' || path.startsWith('docs/')) return path
  return path.startsWith('core/src/') ? path.slice('core/'.length) : undefined
}

/**
 * The document with the links that it has in the package `quadrille`, or, as the README of another package, without the
 * relative ones: a reader there is told where in `quadrille` the file is.
 */
export function asPacked(document: Document, inCore: boolean): string {
  const folder = posix.dirname(document.path)
  return outsideFences(document.text, (text) =>
    text.replaceAll(/\[([^\]]*)\]\(([^)\s]+)\)/g, (link, label: string, target: string) => {
      if (!isRelative(target)) return link
      const [path = '', anchor] = target.split('#')
      const place = placeInCore(posix.join(folder, path))
      if (place === undefined) return label
      if (!inCore) return `${label} (\`${place}\` of \`quadrille\`)`
      return `[${label}](${posix.relative(folder, place)}${anchor === undefined ? '' : `#${anchor}`})`
    }),
  )
}

/** The files that a document links to, relative to itself. */
export function linkedFiles(text: string): string[] {
  const targets: string[] = []
  outsideFences(text, (part) => {
    targets.push(...Array.from(part.matchAll(/\]\(([^)\s]+)/g), (match) => match[1]!).filter(isRelative))
    return part
  })
  return targets.map((target) => target.split('#')[0]!)
}

const isRelative = (target: string): boolean => !/^(#|[a-z]+:)/.test(target)

function outsideFences(text: string, change: (part: string) => string): string {
  const parts = text.split(/^(```[^]*?^```$)/m)
  return parts.map((part, index) => (index % 2 === 0 ? change(part) : part)).join('')
}
