/** HAProxy and nginx of this machine, run with the shipped configuration files, ended with the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { LogBuffer } from '../harness/log-buffer.ts'
import { REPO } from '../harness/server.ts'
import { until, within } from '../harness/wait.ts'

const STOP_MS = 10_000

/** A test that ran out of time disposes of nothing; its proxies end with the process of the tests. */
const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGTERM')
})

export class ProxyProcess implements AsyncDisposable {
  readonly log = new LogBuffer()
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>

  constructor(command: string, args: readonly string[], env: Record<string, string> = {}) {
    this.#child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => this.log.push(chunk))
    }
    this.#exited = once(this.#child, 'exit')
    children.add(this.#child)
    this.#child.once('exit', () => children.delete(this.#child))
  }

  /** Resolves when all ports take connections. */
  async untilListening(ports: readonly number[]): Promise<void> {
    const isOpen = (port: number) =>
      new Promise<boolean>((resolve) => {
        const socket = connect({ port, host: '127.0.0.1' })
        socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
        socket.once('connect', () => socket.destroy())
      })
    await until(
      async () => {
        if (this.#child.exitCode !== null) throw new Error(`the proxy ended at its start:\n${this.log.text}`)
        return (await Promise.all(ports.map(isOpen))).every(Boolean)
      },
      () => `the proxy to listen:\n${this.log.text}`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // nginx and HAProxy end at once on SIGTERM, with their connections.
    this.#child.kill('SIGTERM')
    try {
      await within(this.#exited, 'the proxy to end', STOP_MS)
    } finally {
      this.#child.kill('SIGKILL')
    }
  }
}

/** HAProxy with a file of `deploy/haproxy`; everything that differs comes by the variables that the file names. */
export async function startHaproxy(
  file: string,
  variables: Record<string, string>,
  ports: readonly number[],
): Promise<ProxyProcess> {
  const proxy = new ProxyProcess('haproxy', ['-db', '-f', join(REPO, 'deploy/haproxy', file)], variables)
  return untilReady(proxy, ports)
}

/**
 * nginx with a file of `deploy/nginx`, in which the lines that an operator changes are changed; each must be there.
 * `all` are [what the file says, what it becomes].
 */
export async function startNginx(
  file: string,
  folder: string,
  all: readonly (readonly [string, string])[],
  ports: readonly number[],
): Promise<ProxyProcess> {
  let text = readFileSync(join(REPO, 'deploy/nginx', file), 'utf8')
  for (const [from, to] of all) {
    if (!text.includes(from)) throw new Error(`${file} does not say "${from}"`)
    text = text.replaceAll(from, to)
  }
  const path = join(folder, file)
  writeFileSync(path, text)
  const directives = `daemon off; pid ${join(folder, 'nginx.pid')};`
  const proxy = new ProxyProcess('nginx', ['-e', 'stderr', '-c', path, '-g', directives])
  return untilReady(proxy, ports)
}

async function untilReady(proxy: ProxyProcess, ports: readonly number[]): Promise<ProxyProcess> {
  try {
    await proxy.untilListening(ports)
    return proxy
  } catch (error) {
    await proxy[Symbol.asyncDispose]()
    throw error
  }
}
