/** Findings as annotations of GitHub Actions: they appear beside the lines of a pull request. */
import type { CheckReport, Finding } from 'quadrille/check'
import { shownPlace, splitPlace } from '../places.ts'

/** The report as workflow commands, one line for each finding. */
export function githubText({ findings }: CheckReport, cwd: string): string {
  return findings.map((finding) => `${annotation(finding, cwd)}\n`).join('')
}

// https://docs.github.com/actions/reference/workflow-commands: % CR LF in data, : and , as well in properties.
const data = (text: string) => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
const property = (text: string) => data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')

function annotation(finding: Finding, cwd: string): string {
  const { severity, code, rule, message, sequence, fix } = finding
  const at = shownPlace(finding.places.find((place) => place.at !== '')?.at ?? '', cwd)
  const { file, line } = splitPlace(at)
  const where = at === '' ? '' : `file=${property(file)},line=${property(line)},`
  const text = [message, ...sequence.map((step, index) => `${index + 1}. ${step}`), fix].join('\n')
  return `::${severity} ${where}title=${property(`${code} ${rule}`)}::${data(text)}`
}
