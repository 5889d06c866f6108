/**
 * A real PostgreSQL of a test process: its own folder and port, as durable as in operation, started at the first
 * database that is asked for, and ended with the process.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { LogBuffer } from './log-buffer.ts'
import { findFreePort } from './ports.ts'
import { findPostgresFolder } from './postgres-programs.ts'
import { until, within } from './wait.ts'

const START_MS = 60_000
const STOP_MS = 30_000
const LOG_LINES_SHOWN = 40
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '300',
  fsync: 'on',
  synchronous_commit: 'on',
  shared_buffers: '128MB',
  // Deadlocks are found and retried within the time of a test.
  deadlock_timeout: '200ms',
}

/** Removes the folder $0 when its input ends, and so also when the test process is killed; the server may still be ending. */
const REMOVE_FOLDER = 'cat > /dev/null; for i in $(seq 100); do rm -rf "$0" && break; sleep 0.1; done'

const isRoot = process.getuid?.() === 0

/** PostgreSQL does not run as root; whoever starts it, it ends with this process. */
function asServerUser(command: string, args: readonly string[]): [string, string[]] {
  const user = isRoot ? ['--reuid=postgres', '--regid=postgres', '--init-groups'] : []
  return ['setpriv', [...user, '--pdeathsig=QUIT', '--', command, ...args]]
}

export type TestDatabase = AsyncDisposable & { readonly url: string; readonly name: string }

export class PostgresServer implements AsyncDisposable {
  readonly port: number
  readonly log = new LogBuffer()
  readonly #folder: string
  readonly #programs: string
  readonly #remover: ChildProcess
  #child: ChildProcess | null = null
  #exited: Promise<unknown> = Promise.resolve()
  #nextDatabase = 1

  /** Makes an empty installation and starts it. */
  static async start(settings: Record<string, string> = {}): Promise<PostgresServer> {
    const programs = findPostgresFolder()
    if (programs === undefined)
      throw new Error('PostgreSQL is not installed; test/harness/install.ts does it')
    const server = new PostgresServer(
      programs,
      mkdtempSync(join(tmpdir(), 'wochat-pg-')),
      await findFreePort(),
    )
    server.#initialise()
    await server.launch(settings)
    return server
  }

  private constructor(programs: string, folder: string, port: number) {
    this.#programs = programs
    this.#folder = folder
    this.port = port
    this.#remover = spawn('sh', ['-c', REMOVE_FOLDER, folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
    this.#remover.unref()
    ;(this.#remover.stdin as unknown as Socket).unref()
  }

  url(database = 'postgres'): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`
  }

  get pid(): number {
    return this.#child!.pid!
  }

  /** A fresh, empty database; disposing drops it with whoever is connected. */
  async createDatabase(): Promise<TestDatabase> {
    const name = `test_${this.#nextDatabase++}`
    await this.query(`create database ${name}`)
    return {
      url: this.url(name),
      name,
      [Symbol.asyncDispose]: () => this.query(`drop database if exists ${name} with (force)`),
    }
  }

  /** One statement of the superuser, over a connection of its own. */
  async query(sql: string, database = 'postgres'): Promise<void> {
    const client = new pg.Client(this.url(database))
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }

  /** Starts the server on its port and folder; resolves when it takes connections. */
  async launch(settings: Record<string, string> = {}): Promise<void> {
    const endAt = performance.now() + START_MS
    // After a kill -9 the old server's processes may hold its shared memory for a moment, and the start is refused.
    while (!(await this.#tryLaunch(settings))) {
      if (performance.now() > endAt) throw new Error(`PostgreSQL does not start: ${this.#report()}`)
    }
  }

  /** An orderly stop, which ends every connection (57P01) and writes a checkpoint. */
  async stop(): Promise<void> {
    await this.#end('SIGINT')
  }

  /** kill -9 of the postmaster: its backends end without a word, and the next start recovers from the log. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Freezes the server with all its processes: connections stay, and nothing answers. */
  pause(): void {
    this.#signalAll('SIGSTOP')
  }

  resume(): void {
    this.#signalAll('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGQUIT')
    const removed = once(this.#remover, 'exit')
    this.#remover.stdin?.end()
    await removed
  }

  #initialise(): void {
    if (isRoot) {
      const { stdout } = spawnSync('id', ['-u', 'postgres'])
      chownSync(this.#folder, Number(stdout), -1)
    }
    // Not the C locale, so that a query which leans on the order of bytes has to say so.
    const locale = ['--locale=C.UTF-8', '--locale-provider=icu', '--icu-locale=en-US']
    const args = ['-D', this.#folder, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync', ...locale]
    const [command, rest] = asServerUser(join(this.#programs, 'initdb'), args)
    const { status, stderr } = spawnSync(command, rest, { cwd: this.#folder })
    if (status !== 0) throw new Error(`initdb failed: ${stderr.toString()}`)
  }

  async #tryLaunch(settings: Record<string, string>): Promise<boolean> {
    const options = Object.entries({ ...SETTINGS, ...settings }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ])
    const args = ['-D', this.#folder, '-p', String(this.port), ...options]
    const [command, rest] = asServerUser(join(this.#programs, 'postgres'), args)
    const child = spawn(command, rest, { cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => this.log.push(chunk))
    // Nobody has to dispose of the shared server: it keeps no process alive, and ends with this one.
    child.unref()
    ;(child.stderr as unknown as Socket).unref()
    this.#child = child
    this.#exited = once(child, 'exit').finally(() => {
      if (this.#child === child) this.#child = null
    })
    return await until(
      async () => (this.#child === null ? 'ended' : (await this.#answers()) ? 'ready' : false),
      () => `PostgreSQL to start: ${this.#report()}`,
      START_MS,
    ).then((state) => state === 'ready')
  }

  async #answers(): Promise<boolean> {
    try {
      await this.query('select 1')
      return true
    } catch {
      return false
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child === null) return
    this.resume()
    this.#child.kill(signal)
    await within(this.#exited, 'PostgreSQL to end', STOP_MS)
  }

  #signalAll(signal: NodeJS.Signals): void {
    const { stdout } = spawnSync('pgrep', ['-P', String(this.pid)])
    for (const pid of [this.pid, ...stdout.toString().trim().split('\n').map(Number)]) {
      try {
        process.kill(pid, signal)
      } catch {
        // A backend that has ended since it was listed.
      }
    }
  }

  #report(): string {
    return this.log.tail(LOG_LINES_SHOWN)
  }
}

let shared: Promise<PostgresServer> | undefined

/** The server that all tests of this process share; one that stops or kills its server starts one of its own. */
function sharedPostgres(): Promise<PostgresServer> {
  shared ??= PostgresServer.start()
  return shared
}

/** A fresh, empty database on the shared server. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = await sharedPostgres()
  return await server.createDatabase()
}
