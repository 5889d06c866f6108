/** A real server process of the project: its own ports, its own data folder, ended with the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, onTestFailed } from 'vitest'
import { callOperation } from './http.ts'
import { TestIssuer, type TokenOptions } from './issuer.ts'
import { LogBuffer } from './log-buffer.ts'
import { Metrics } from './metrics.ts'
import { findFreePort } from './ports.ts'
import { until, WAIT_MS, within } from './wait.ts'

export const REPO = new URL('../../', import.meta.url).pathname
const START_MS = 30_000
const STOP_MS = 20_000
const LOG_LINES_SHOWN = 80

export type ServerOptions = {
  /** Settings by their environment names, over the harness's own. */
  env?: Record<string, string>
}

/** Loopback only, and no caps on rates: all tests come from one address. A test of a cap sets its own. */
const UNLIMITED = {
  WOCHAT_MQTT_HOST: '127.0.0.1',
  WOCHAT_HTTP_HOST: '127.0.0.1',
  WOCHAT_CONNECTS_PER_ADDRESS_MAX: '0',
  WOCHAT_SENDS_PER_SECOND_MAX: '0',
  WOCHAT_CALLS_PER_SECOND_MAX: '0',
  WOCHAT_CODES_PER_ADDRESS_MAX: '1000000',
}

const issuer = new TestIssuer()
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

export class TestServer implements AsyncDisposable {
  readonly folder: string
  readonly dataDir: string
  readonly mqttPort: number
  readonly httpPort: number
  readonly adminPort: number
  readonly log = new LogBuffer()
  readonly #env: Record<string, string>
  #child: ChildProcess | null = null
  #exited: Promise<Exit> = Promise.resolve({ code: null, signal: null })

  constructor(folder: string, ports: [number, number, number], env: Record<string, string>) {
    this.folder = folder
    this.dataDir = join(folder, 'data')
    ;[this.mqttPort, this.httpPort, this.adminPort] = ports
    this.#env = {
      ...UNLIMITED,
      WOCHAT_DATA_DIR: this.dataDir,
      WOCHAT_MQTT_PORT: String(this.mqttPort),
      WOCHAT_HTTP_PORT: String(this.httpPort),
      WOCHAT_ADMIN_PORT: String(this.adminPort),
      WOCHAT_ISSUERS: issuer.publish(join(folder, 'issuer.json')),
      ...env,
    }
  }

  get settings(): Readonly<Record<string, string>> {
    return this.#env
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error('the server is not running')
    return pid
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.httpPort}`
  }

  get running(): boolean {
    return this.#child !== null
  }

  /** Starts the process and resolves when it says that it is ready. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ['main.ts', 'serve'], {
      cwd: REPO,
      env: cleanEnv(this.#env),
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

  /** Again on the same ports and data, after a graceful stop if it still runs. */
  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** A token of the tests' own identity provider; an account is made at its first use. */
  token(uid: string, deviceId: string | null, options?: TokenOptions): string {
    return issuer.token(uid, deviceId, options)
  }

  /** An operation over HTTP; rejects with `HttpRefusal`. */
  http<T = Record<string, unknown>>(operation: string, params: unknown, token?: string): Promise<T> {
    return callOperation<T>(this.httpUrl, operation, params, token)
  }

  /** The login code that the console SMS provider printed last for a number. */
  smsCode(phone: string): string | undefined {
    const prefix = `sms to ${phone}: `
    const line = this.log.lines.findLast((text) => text.startsWith(prefix))
    return line === undefined ? undefined : /^\d{6}/.exec(line.slice(prefix.length))?.[0]
  }

  async metrics(): Promise<Metrics> {
    const answer = await fetch(`http://127.0.0.1:${this.adminPort}/metrics`)
    return new Metrics(await answer.text())
  }

  shownLog(): string {
    return this.log.tail(LOG_LINES_SHOWN)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop()
    } finally {
      this.signal('SIGKILL')
      await this.#exited
      rmSync(this.folder, { recursive: true, force: true })
    }
  }
}

async function createServer(options: ServerOptions): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'wochat-test-'))
  const ports: [number, number, number] = [await findFreePort(), await findFreePort(), await findFreePort()]
  return new TestServer(folder, ports, options.env ?? {})
}

/** A server of one test: `await using server = await startServer()`. Its log is printed if the test fails. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const server = await createServer(options)
  onTestFailed(() => console.error(`log of the server:\n${server.shownLog()}`))
  try {
    await server.start()
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

/** One server for all tests of a file: `const server = sharedServer()`, used inside the tests only. */
export function sharedServer(options: ServerOptions = {}): TestServer {
  let current: TestServer | null = null
  beforeAll(async () => {
    current = await createServer(options)
    await current.start()
  }, START_MS + WAIT_MS)
  afterEach((context) => {
    if (context.task.result?.state === 'fail') console.error(`log of the server:\n${current?.shownLog()}`)
  })
  afterAll(async () => current?.[Symbol.asyncDispose](), STOP_MS + WAIT_MS)
  return new Proxy({} as TestServer, {
    get(_, name) {
      if (current === null) throw new Error('the shared server is used before beforeAll')
      const value: unknown = Reflect.get(current, name, current)
      return typeof value === 'function' ? value.bind(current) : value
    },
  })
}
