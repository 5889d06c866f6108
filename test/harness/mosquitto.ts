/** The stock clients `mosquitto_sub` and `mosquitto_pub`, as their users start them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { LogBuffer } from './log-buffer.ts'
import { until, within } from './wait.ts'

const END_MS = 20_000

class Mosquitto implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly out = new LogBuffer()
  readonly err = new LogBuffer()
  readonly ended: Promise<number | null>
  code: number | null | undefined

  constructor(tool: 'mosquitto_sub' | 'mosquitto_pub', args: readonly string[]) {
    // Into a pipe the tools would keep their lines back until some kilobytes are there.
    this.#child = spawn('stdbuf', ['-oL', tool, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => this.out.push(chunk))
    this.#child.stderr?.setEncoding('utf8').on('data', (chunk: string) => this.err.push(chunk))
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', (code) => {
        this.code = code
        resolve(code)
      })
    })
    // Whoever awaits the end sees the failure to start; nobody has to.
    this.ended.catch(() => {})
  }

  get lines(): string[] {
    return this.out.lines
  }

  /** The lines on standard output, once there are this many. */
  untilLines(count: number): Promise<string[]> {
    return until(
      () => (this.lines.length >= count ? this.lines : false),
      () => `${count} lines; came: ${this.out.text}; on stderr: ${this.err.text}`,
    )
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.code === undefined) this.#child.kill('SIGKILL')
    await this.ended.catch(() => {})
  }
}

/**
 * Starts `mosquitto_sub` and resolves when it is subscribed. It tells so only in its debug output, which `-d` mixes
 * into standard output; {@link subscribedMessages} reads the messages out of it.
 */
export async function startMosquittoSub(args: readonly string[]): Promise<Mosquitto> {
  const sub = new Mosquitto('mosquitto_sub', ['-d', ...args])
  await until(
    () => {
      if (sub.code !== undefined) throw new Error(`mosquitto_sub ended: ${sub.out.text} ${sub.err.text}`)
      return sub.lines.some((line) => /received SUBACK/.test(line))
    },
    () => `mosquitto_sub to be subscribed: ${sub.out.text} ${sub.err.text}`,
  )
  return sub
}

/** The JSON payloads among the lines of a `mosquitto_sub`, with or without its debug output. */
export function subscribedMessages(sub: Mosquitto): Record<string, unknown>[] {
  return sub.lines
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Runs a tool to its end. */
export async function runMosquitto(
  tool: 'mosquitto_sub' | 'mosquitto_pub',
  args: readonly string[],
): Promise<{ code: number | null; out: string[]; err: string[] }> {
  await using run = new Mosquitto(tool, args)
  const code = await within(run.ended, `${tool} to end`, END_MS)
  return { code, out: run.lines, err: run.err.lines }
}
