/** The samples of a Prometheus text page. */
type Sample = { name: string; labels: ReadonlyMap<string, string>; value: number }

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g

export class Metrics {
  readonly samples: readonly Sample[]
  readonly text: string

  constructor(text: string) {
    this.text = text
    this.samples = text.split('\n').flatMap(parseSample)
  }

  /** The sum over all samples of a name that carry the given labels; 0 if there is none. */
  sum(name: string, labels: Record<string, string> = {}): number {
    return this.find(name, labels).reduce((total, sample) => total + sample.value, 0)
  }

  has(name: string): boolean {
    return this.samples.some((sample) => sample.name === name)
  }

  /** Names of metrics, sorted; also of those that have no sample yet. A histogram has samples of other names. */
  declared(): string[] {
    return [...this.text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!).sort()
  }

  /** Names of metrics and of their samples. */
  names(): Set<string> {
    return new Set([...this.declared(), ...this.samples.map((sample) => sample.name)])
  }

  find(name: string, labels: Record<string, string> = {}): Sample[] {
    const wanted = Object.entries(labels)
    return this.samples.filter(
      (sample) => sample.name === name && wanted.every(([key, value]) => sample.labels.get(key) === value),
    )
  }
}

function parseSample(line: string): Sample[] {
  const match = line.startsWith('#') ? null : SAMPLE.exec(line)
  if (match === null) return []
  const labels = new Map([...(match[2] ?? '').matchAll(LABEL)].map((label) => [label[1]!, label[2]!]))
  return [{ name: match[1]!, labels, value: Number(match[3]) }]
}
