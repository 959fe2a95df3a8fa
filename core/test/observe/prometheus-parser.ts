/** A little parser of the Prometheus text format, strict about what the format asks for. */
import assert from 'node:assert/strict'

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Exposition {
  readonly types: ReadonlyMap<string, string>
  readonly samples: readonly Sample[]
}

const number = (text: string): number =>
  text.endsWith('Inf') ? (text[0] === '-' ? -Infinity : Infinity) : Number(text)

const unescaped = (text: string): string => text.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c))

export function parsePrometheus(text: string): Exposition {
  const types = new Map<string, string>()
  const samples: Sample[] = []
  assert.ok(text === '' || text.endsWith('\n'))
  for (const line of text.split('\n').slice(0, -1)) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line)
    if (type) {
      assert.ok(!types.has(type[1]!), `${type[1]} twice`)
      types.set(type[1]!, type[2]!)
    } else if (!/^# HELP \S+ \S/.test(line)) {
      const sample = /^([a-zA-Z_:][\w:]*)(?:\{((?:\w+="(?:[^"\\\n]|\\[\\n"])*",?)+)\})? (\S+)$/.exec(line)
      assert.ok(sample, `not a sample: ${line}`)
      const [, name = '', inner = '', value = ''] = sample
      const pairs = [...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, raw]) => [key!, unescaped(raw!)])
      assert.ok(types.has(name) || types.has(name.replace(/_(bucket|sum|count)$/, '')), `${name} has no TYPE`)
      samples.push({ name, labels: Object.fromEntries(pairs) as Record<string, string>, value: number(value) })
    }
  }
  return { types, samples }
}

/** The value of the one sample with this name and these labels. */
export function valueOf(exposition: Exposition, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const found = exposition.samples.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  )
  assert.equal(found.length, 1, `${found.length} samples of ${name} ${JSON.stringify(labels)}`)
  return found[0]!.value
}
