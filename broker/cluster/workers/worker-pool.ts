/**
 * The worker processes of a primary: started, watched, started again when they die, stopped together.
 *
 * The primary listens and hands connections to the workers in turn (`node:cluster`). Beside the channel of that, each
 * worker has a pipe of ours, and the end of the pipe is the end of the worker on either side: a worker whose primary is
 * gone exits, and a worker that does not read its pipe is ended.
 */
import cluster, { type Worker } from 'node:cluster'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Channel } from '../../../services/store/remote/channel.ts'
import { Peer } from './peer.ts'

/** Where a worker finds the pipe among its files. */
export const PIPE_FD = 4

/** A worker that lived this long is started again at once; others wait longer each time. */
const STEADY_MS = 10_000
const RESTART_MS_MIN = 100
const RESTART_MS_MAX = 30_000

export type PoolWorker = { readonly slot: number; readonly pid: number; channel: Channel; peer: Peer }

export type PoolSettings = {
  /** Program of a worker. */
  program: URL
  workers: number
  log: Logger
  /** Before the worker says or hears anything. */
  attach(worker: PoolWorker): void
  /** What the worker is told at its start; resolves when it serves. A rejection at the first start ends the start. */
  start(worker: PoolWorker): Promise<void>
  /** The worker is gone. */
  detach(worker: PoolWorker): void
}

type Running = PoolWorker & { process: Worker; startedAt: number; isReady: boolean; gone: Promise<void> }

export class WorkerPool {
  readonly #settings: PoolSettings
  readonly #running = new Map<number, Running>()
  readonly #quickDeaths = new Map<number, number>()
  readonly #endAll = () => this.#kill()
  #isStopping = false
  restarts = 0

  constructor(settings: PoolSettings) {
    this.#settings = settings
  }

  /** Workers that serve now. */
  get ready(): PoolWorker[] {
    return [...this.#running.values()].filter(({ isReady }) => isReady)
  }

  /** Resolves when all serve. Rejects, with no worker left, when one cannot. */
  async start(): Promise<void> {
    const { program, workers } = this.#settings
    cluster.setupPrimary({
      exec: program.pathname,
      args: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
    })
    // However this process ends: a worker that is stopped by a signal would not see the end of its pipe.
    process.on('exit', this.#endAll)
    const slots = Array.from({ length: workers }, (_, i) => i + 1)
    try {
      await Promise.all(slots.map((slot) => this.#spawn(slot, true)))
    } catch (error) {
      await this.#endNow()
      throw error
    }
  }

  /** Asks all workers to stop; those that have not after `graceMs` are ended. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true
    const workers = [...this.#running.values()]
    const deadline = setTimeout(() => this.#kill(), graceMs)
    for (const { peer } of workers) peer.tell('worker.stop', null)
    await Promise.all(workers.map(({ gone }) => gone))
    clearTimeout(deadline)
    process.off('exit', this.#endAll)
  }

  async #endNow(): Promise<void> {
    this.#isStopping = true
    const ending = [...this.#running.values()].map(({ gone }) => gone)
    this.#kill()
    await Promise.all(ending)
    process.off('exit', this.#endAll)
  }

  #kill(): void {
    for (const { process: worker } of this.#running.values()) worker.process.kill('SIGKILL')
  }

  async #spawn(slot: number, isFirst: boolean): Promise<void> {
    const { log, attach, start } = this.#settings
    const worker = cluster.fork()
    const channel = new Channel(worker.process.stdio[PIPE_FD] as Duplex)
    const peer = new Peer(channel)
    const pid = worker.process.pid!
    const gone = this.#watch(slot, worker, channel)
    const running: Running = {
      slot,
      pid,
      channel,
      peer,
      process: worker,
      startedAt: Date.now(),
      isReady: false,
      gone,
    }
    this.#running.set(slot, running)
    attach(running)
    try {
      await start(running)
      running.isReady = true
    } catch (error) {
      worker.process.kill('SIGKILL')
      if (isFirst) throw error
      if (!this.#isStopping) log.error({ err: error, worker: slot }, 'a worker could not start')
    }
  }

  /** Resolves when the process has ended and its pipe has been read to the end. */
  #watch(slot: number, worker: Worker, channel: Channel): Promise<void> {
    const exited = new Promise<string>((resolve) => {
      worker.once('exit', (code, signal) => resolve(signal ?? `code ${code}`))
    })
    const closed = new Promise<void>((resolve) => {
      channel.onClose = () => {
        // It has exited, or it does not take what is written to it.
        if (!this.#isStopping) worker.process.kill('SIGKILL')
        resolve()
      }
    })
    return Promise.all([exited, closed]).then(([end]) => this.#onGone(slot, end))
  }

  #onGone(slot: number, end: string): void {
    const { log, detach } = this.#settings
    const worker = this.#running.get(slot)!
    this.#running.delete(slot)
    detach(worker)
    if (this.#isStopping) return
    log.error({ worker: slot, pid: worker.pid, end }, 'a worker died; another one takes its place')
    void this.#restart(slot, Date.now() - worker.startedAt)
  }

  async #restart(slot: number, livedMs: number): Promise<void> {
    const deaths = livedMs >= STEADY_MS ? 0 : (this.#quickDeaths.get(slot) ?? 0) + 1
    this.#quickDeaths.set(slot, deaths)
    if (deaths > 0) await sleep(Math.min(RESTART_MS_MAX, RESTART_MS_MIN * 2 ** (deaths - 1)))
    if (this.#isStopping) return
    this.restarts++
    await this.#spawn(slot, false)
  }
}
