/**
 * A running installation for tests: one process with the embedded store, or, in the test project `cluster`, three
 * nodes around one PostgreSQL and one Redis. Tests of promises that both keep need not know which.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, inject, onTestFailed } from 'vitest'
import { type Backends, makeBackends } from './backends.ts'
import { callOperation } from './http.ts'
import { TestIssuer, type TokenOptions } from './issuer.ts'
import { Metrics } from './metrics.ts'
import { type Exit, ServerProcess, START_MS, STOP_MS } from './server-process.ts'
import { WAIT_MS } from './wait.ts'

export { cleanEnv, type Exit, REPO, ServerProcess } from './server-process.ts'

/** Nodes of a server that all tests of a file share, and of one that a test starts and stops itself. */
const SHARED_NODES = 3
const OWN_NODES = 2

type ServerOptions = {
  /** Settings by their environment names, over the harness's own. */
  env?: Record<string, string>
  /** Nodes, each with settings of its own; more than none makes it a cluster. */
  nodes?: readonly Record<string, string>[]
  /** One node, also where others get a cluster: for bounds that are each node's own. */
  alone?: boolean
  /** Stores of a cluster that the test starts itself, and may stop. */
  backends?: Backends
}

/** Whether tests of this run get a cluster where they do not ask for anything. */
export const IN_CLUSTER = inject('topology') === 'cluster'

const issuer = new TestIssuer()

export class TestServer implements AsyncDisposable {
  readonly folder: string
  readonly nodes: readonly ServerProcess[]
  readonly #backends: Backends | null
  #turn = 0
  /** Nodes that clients go to. */
  #serving: readonly ServerProcess[]

  constructor(folder: string, nodes: readonly ServerProcess[], backends: Backends | null) {
    this.folder = folder
    this.nodes = nodes
    this.#backends = backends
    this.#serving = nodes
  }

  /** From here on clients go to these nodes only, by their places. */
  serveFrom(...places: number[]): void {
    this.#serving = places.map((place) => this.nodes[place]!)
  }

  /** The nodes one after the other, so that who connects next to each other is on different ones. */
  get #next(): ServerProcess {
    const running = this.#serving.filter((node) => node.running)
    const among = running.length > 0 ? running : this.#serving
    return among[this.#turn++ % among.length]!
  }

  get #first(): ServerProcess {
    return this.nodes[0]!
  }

  get dataDir(): string {
    return this.#first.dataDir
  }

  get mqttPort(): number {
    return this.#next.mqttPort
  }

  get httpPort(): number {
    return this.#next.httpPort
  }

  get adminPort(): number {
    return this.#first.adminPort
  }

  get settings(): Readonly<Record<string, string>> {
    return this.#first.settings
  }

  get pid(): number {
    return this.#first.pid
  }

  get log(): ServerProcess['log'] {
    return this.#first.log
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.httpPort}`
  }

  get running(): boolean {
    return this.nodes.some((node) => node.running)
  }

  /** Starts all nodes and resolves when they are ready. */
  async start(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()))
  }

  async isReady(): Promise<boolean> {
    const ready = await Promise.all(this.nodes.map((node) => node.isReady()))
    return ready.every(Boolean)
  }

  /** The end of all processes, for who made them end. */
  get exited(): Promise<Exit> {
    return Promise.all(this.nodes.map((node) => node.exited)).then((exits) => exits[0]!)
  }

  signal(name: NodeJS.Signals): void {
    for (const node of this.nodes) node.signal(name)
  }

  async kill9(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill9()))
  }

  /** Asks all to stop and asserts that they did so by themselves, with success. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
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
    const line = this.nodes.flatMap((node) => node.log.lines).findLast((text) => text.startsWith(prefix))
    return line === undefined ? undefined : /^\d{6}/.exec(line.slice(prefix.length))?.[0]
  }

  /** Of all nodes: sums are sums over them. */
  async metrics(): Promise<Metrics> {
    const pages = await Promise.all(this.nodes.map((node) => node.metricsText()))
    return new Metrics(pages.join('\n'))
  }

  shownLog(): string {
    return this.nodes.map((node, i) => `--- node ${i}\n${node.shownLog()}`).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ends = await Promise.allSettled(this.nodes.map((node) => node[Symbol.asyncDispose]()))
    await this.#backends?.[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
}

async function createServer(options: ServerOptions, nodesInCluster: number): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'wochat-test-'))
  const env = { WOCHAT_ISSUERS: issuer.publish(join(folder, 'issuer.json')), ...options.env }
  const count = IN_CLUSTER ? (options.alone === true ? 1 : nodesInCluster) : 0
  const nodes = options.nodes ?? Array.from({ length: count }, () => ({}))
  if (nodes.length === 0)
    return new TestServer(folder, [await ServerProcess.create(folder, 'data', env)], null)
  const backends = options.backends ?? (await makeBackends())
  const processes: ServerProcess[] = []
  for (const [i, settings] of nodes.entries()) {
    const name = `node-${i}`
    const own = { ...env, ...backends.env, WOCHAT_NODE_NAME: name, ...settings }
    processes.push(await ServerProcess.create(folder, name, own))
  }
  return new TestServer(folder, processes, options.backends === undefined ? backends : null)
}

/** A server of one test: `await using server = await startServer()`. Its log is printed if the test fails. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const server = await createServer(options, OWN_NODES)
  onTestFailed(() => console.error(`log of the server:\n${server.shownLog()}`))
  try {
    await server.start()
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

/**
 * One server for all tests of a file: `const server = sharedServer()`, used inside the tests only. Options that are
 * made with it come of a function.
 */
export function sharedServer(
  options: ServerOptions | (() => ServerOptions | Promise<ServerOptions>) = {},
): TestServer {
  let current: TestServer | null = null
  beforeAll(async () => {
    const made = typeof options === 'function' ? await options() : options
    current = await createServer(made, SHARED_NODES)
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
