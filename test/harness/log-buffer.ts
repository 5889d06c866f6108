/** The last lines of a process, bounded, for the report of a failed test. */

const LINES_MAX = 2000
const LINE_CHARS_MAX = 4000

export class LogBuffer {
  readonly lines: string[] = []
  #rest = ''

  push(chunk: string): void {
    const parts = (this.#rest + chunk).split('\n')
    this.#rest = parts.pop() ?? ''
    for (const line of parts) this.lines.push(line.slice(0, LINE_CHARS_MAX))
    if (this.lines.length > LINES_MAX) this.lines.splice(0, this.lines.length - LINES_MAX)
  }

  tail(count: number): string {
    return [...this.lines, this.#rest].slice(-count).join('\n')
  }

  get text(): string {
    return this.tail(LINES_MAX)
  }
}
