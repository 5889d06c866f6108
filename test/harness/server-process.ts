/** One process of the project: its ports, its data folder, its life. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { LogBuffer } from './log-buffer.ts'
import { findFreePort } from './ports.ts'
import { until, within } from './wait.ts'

export const REPO = new URL('../../', import.meta.url).pathname
export const START_MS = 60_000
export const STOP_MS = 20_000
/** Asking takes time from the process that starts. */
const READY_ASKED_EVERY_MS = 100
const LOG_LINES_SHOWN = 80

/** Loopback only, and no caps on rates: all tests come from one address. A test of a cap sets its own. */
const UNLIMITED = {
  WOCHAT_MQTT_HOST: '127.0.0.1',
  WOCHAT_HTTP_HOST: '127.0.0.1',
  WOCHAT_CONNECTS_PER_ADDRESS_MAX: '0',
  WOCHAT_SENDS_PER_SECOND_MAX: '0',
  WOCHAT_CALLS_PER_SECOND_MAX: '0',
  WOCHAT_CODES_PER_ADDRESS_MAX: '1000000',
}

const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** The environment of a child without anything that would configure a server. */
export function cleanEnv(settings: Record<string, string> = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('WOCHAT_'))
  return { ...Object.fromEntries(inherited), ...settings }
}

export type Exit = { code: number | null; signal: NodeJS.Signals | null }

export class ServerProcess {
  readonly dataDir: string
  readonly mqttPort: number
  readonly httpPort: number
  readonly adminPort: number
  readonly log = new LogBuffer()
  readonly settings: Readonly<Record<string, string>>
  /** Folder of the program; another one is another version of it, from the next start on. */
  program = REPO
  #child: ChildProcess | null = null
  #exited: Promise<Exit> = Promise.resolve({ code: null, signal: null })

  /** A process that is not started yet. `name` is its part of `folder`. */
  static async create(folder: string, name: string, env: Record<string, string>): Promise<ServerProcess> {
    const ports: [number, number, number] = [await findFreePort(), await findFreePort(), await findFreePort()]
    return new ServerProcess(join(folder, name), ports, env)
  }

  private constructor(dataDir: string, ports: [number, number, number], env: Record<string, string>) {
    this.dataDir = dataDir
    ;[this.mqttPort, this.httpPort, this.adminPort] = ports
    this.settings = {
      ...UNLIMITED,
      WOCHAT_DATA_DIR: this.dataDir,
      WOCHAT_MQTT_PORT: String(this.mqttPort),
      WOCHAT_HTTP_PORT: String(this.httpPort),
      WOCHAT_ADMIN_PORT: String(this.adminPort),
      ...env,
    }
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error('the server is not running')
    return pid
  }

  get running(): boolean {
    return this.#child !== null
  }

  /** Starts the process and resolves when it says that it is ready. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ['main.ts', 'serve'], {
      cwd: this.program,
      env: cleanEnv(this.settings),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    children.add(child)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => this.log.push(chunk))
    }
    this.#exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        children.delete(child)
        if (this.#child === child) this.#child = null
        resolve({ code, signal })
      })
    })
    await until(
      async () => {
        if (this.#child !== child) throw new Error(`the server ended at its start:\n${this.shownLog()}`)
        return this.isReady()
      },
      () => `the server to be ready:\n${this.shownLog()}`,
      START_MS,
      READY_ASKED_EVERY_MS,
    )
  }

  async isReady(): Promise<boolean> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.adminPort}/readyz`)
      await answer.arrayBuffer()
      return answer.status === 200
    } catch {
      return false
    }
  }

  /** The end of the process, for who made it end. */
  get exited(): Promise<Exit> {
    return within(this.#exited, 'the server to end', STOP_MS)
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** Kills without a chance to flush anything, and resolves when the process is gone. */
  async kill9(): Promise<void> {
    this.signal('SIGKILL')
    await this.exited
  }

  /** Asks to stop and asserts that it did so by itself, with success. */
  async stop(): Promise<void> {
    if (this.#child === null) return
    this.signal('SIGTERM')
    const { code, signal } = await this.exited
    if (code !== 0) {
      throw new Error(
        `the server ended with code ${code}, signal ${signal} after SIGTERM:\n${this.shownLog()}`,
      )
    }
  }

  /** Text of the page of metrics. */
  async metricsText(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.adminPort}/metrics`)
    return answer.text()
  }

  shownLog(): string {
    return this.log.tail(LOG_LINES_SHOWN)
  }

  /** Stops it, or ends it if it does not. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop()
    } finally {
      this.signal('SIGKILL')
      await this.#exited
    }
  }
}
