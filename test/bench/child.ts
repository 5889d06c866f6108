import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { assertStaying, onceOnLeave } from './scope.ts'

const LOG_BYTES_MAX = 64 * 1024
const READY_MS_MAX = 30_000
const POLL_MS = 25
/** A server that does not end by SIGTERM in this time is killed. */
const STOP_MS_MAX = 10_000

interface ChildOptions {
  name: string
  command: readonly string[]
  /** Pin to this core. */
  core?: number | undefined
  cwd?: string
  env?: Record<string, string>
}

/** A child process that is ended by its id, with the last of what it said at hand for when it fails. */
export class Child implements AsyncDisposable {
  readonly name: string
  private readonly process: ChildProcess
  private readonly undo: () => void | Promise<void>
  private log = ''
  private output = ''

  constructor({ name, command, core, cwd, env }: ChildOptions) {
    assertStaying()
    const [file, ...args] = core === undefined ? command : ['taskset', '-c', String(core), ...command]
    this.name = name
    this.process = spawn(file!, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inheritedEnvironment(), ...env },
      ...(cwd === undefined ? {} : { cwd }),
    })
    this.process.on('error', (error) => this.remember(`${error.message}\n`))
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.output += text
      this.remember(text)
    })
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => this.remember(text))
    this.undo = onceOnLeave(() => this.stop())
  }

  get pid(): number {
    if (this.process.pid === undefined) throw new Error(`${this.name} did not start: ${this.log}`)
    return this.process.pid
  }

  get hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  get logTail(): string {
    return this.log
  }

  /** Everything written to standard output so far. */
  get standardOutput(): string {
    return this.output
  }

  /** Resolves once `isReady` says so; rejects with the log when the process ends or takes too long. */
  async waitUntilReady(isReady: () => boolean | Promise<boolean>): Promise<void> {
    const end = performance.now() + READY_MS_MAX
    while (!(await isReady())) {
      if (this.hasEnded) throw new Error(`${this.name} ended before it was ready:\n${this.log}`)
      if (performance.now() > end) throw new Error(`${this.name} was not ready in time:\n${this.log}`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  /** Resolves with the exit status, null if a signal ended it. */
  async waitForExit(): Promise<number | null> {
    if (!this.hasEnded) await once(this.process, 'close')
    await this.undo()
    return this.process.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.undo()
  }

  private async stop(): Promise<void> {
    if (this.hasEnded || this.process.pid === undefined) return
    const exited = once(this.process, 'exit')
    const stuck = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS_MAX)
    this.process.kill('SIGTERM')
    await exited
    clearTimeout(stuck)
  }

  private remember(text: string): void {
    this.log = (this.log + text).slice(-LOG_BYTES_MAX)
  }
}

/** Without settings of a wochat that the shell may have: what is measured is what the bench says. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('WOCHAT_')))
}

/** Ports that were free a moment ago, all different. */
export async function findFreePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = net.createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

export async function acceptsConnections(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false // Not listening yet, which is what is asked.
  } finally {
    socket.destroy()
  }
}
