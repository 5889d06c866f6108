/**
 * People who chat while something breaks: senders that send again what was not answered, receivers that come back, on
 * whichever node takes them; and the history checker at the end.
 */
import { expect } from 'vitest'
import { Device } from './device.ts'
import { checkHistory } from './history-checker.ts'
import { LoadRecord, LoadSender } from './load.ts'
import { directLog, makeAccounts, makeGroup, newUids } from './people.ts'
import type { TestServer } from './server.ts'
import { until, within } from './wait.ts'

/** Whoever was cut, or refused, tries again after this. */
const COME_BACK_MS = 100
const DONE_MS = 90_000
const PING_EVERY_MS = 500
const PING_ANSWER_MS = 3000

type SoakOptions = {
  senders?: number
  receivers?: number
  /** Sends of each sender; to the receivers and the group in turn. */
  each?: number
  /** Slows the senders down: how long each message keeps its place in the window after its answer. */
  paceMs?: number
}

export class Soak implements AsyncDisposable {
  readonly server: TestServer
  readonly record = new LoadRecord()
  readonly group: string
  readonly #senders: LoadSender[]
  readonly #receivers: string[]
  readonly #loops: Promise<void>[] = []
  readonly #connected = new Map<string, Device>()
  #stopped = false

  /** Makes the people and their group, connects the receivers, and begins to send. */
  static async start(server: TestServer, options: SoakOptions = {}): Promise<Soak> {
    const { senders = 4, receivers = 3, each = 500, paceMs = 0 } = options
    const writers = newUids(...Array.from({ length: senders }, (_, i) => `s${i}`))
    const readers = newUids(...Array.from({ length: receivers }, (_, i) => `r${i}`))
    await makeAccounts(server, ...writers, ...readers)
    const group = await makeGroup(server, writers[0]!, [...writers.slice(1), ...readers])
    const soak = new Soak(server, group, writers, readers, { each, paceMs })
    await soak.#begin()
    return soak
  }

  private constructor(
    server: TestServer,
    group: string,
    writers: string[],
    readers: string[],
    { each, paceMs }: { each: number; paceMs: number },
  ) {
    this.server = server
    this.group = group
    const targets = [...readers, group]
    this.#senders = writers.map((uid) => new LoadSender(this.record, uid, targets, each, { paceMs }))
    this.#receivers = readers
  }

  async #begin(): Promise<void> {
    for (const uid of this.#receivers) this.#loops.push(this.#receive(uid))
    await until(() => this.#connected.size === this.#receivers.length, 'the receivers to be connected')
    for (const sender of this.#senders) this.#loops.push(this.#send(sender))
  }

  get total(): number {
    return this.#senders.reduce((sum, sender) => sum + sender.total, 0)
  }

  /** The senders begin nothing new; what they began is {@link total}. */
  enough(): void {
    for (const sender of this.#senders) sender.enough()
  }

  get answered(): number {
    return this.#senders.reduce((sum, sender) => sum + sender.answered, 0)
  }

  /** Resolves when a share of all sends, 0 to 1, is answered. */
  async untilAnswered(share: number): Promise<void> {
    const count = this.total * share
    await until(
      () => this.answered >= count,
      () => `${count} of ${this.total} answers, ${this.answered} came; busy ${this.record.busy}`,
      DONE_MS,
    )
  }

  /** All is answered and delivered: what was acknowledged came exactly once, in order, without a gap. */
  async verify(): Promise<void> {
    await this.untilAnswered(1)
    await this.#untilDelivered()
    const expected = this.#receivers.map((uid) => [`${uid}/phone`, this.#logsOf(uid)] as const)
    // Before the first message the log of the group holds the entry that made it.
    const ofGroup = this.record.accepted.filter(({ log }) => log === this.group).map(({ seq }) => seq)
    const violations = checkHistory({
      attempted: this.record.attempted,
      accepted: this.record.accepted,
      delivered: this.record.delivered,
      expected: new Map(expected),
      firstSeq: new Map([[this.group, Math.min(...ofGroup)]]),
    })
    expect(violations).toEqual([])
    expect(this.record.refused).toEqual([])
  }

  #logsOf(uid: string): string[] {
    return [this.group, ...this.#senders.map((sender) => directLog(sender.uid, uid))]
  }

  async #untilDelivered(): Promise<void> {
    const counts = this.#receivers.map((uid) => {
      const logs = new Set(this.#logsOf(uid))
      const ids = this.record.accepted.filter(({ log }) => logs.has(log)).map(({ id }) => id)
      return { name: `${uid}/phone`, wanted: new Set(ids).size }
    })
    const got = (name: string) =>
      new Set(this.record.delivered.get(name)?.map((entry) => `${entry.log} ${entry.seq}`)).size
    await until(
      () => counts.every(({ name, wanted }) => got(name) >= wanted),
      () => `deliveries ${JSON.stringify(counts.map((c) => ({ ...c, got: got(c.name) })))}`,
      DONE_MS,
    )
  }

  async #receive(uid: string): Promise<void> {
    while (!this.#stopped) {
      let device: Device | undefined
      try {
        device = await Device.connect(this.server, uid, 'phone', { clean: false, subscribe: false })
        this.record.watch(device)
        if (!device.sessionPresent) await device.follow()
        this.#connected.set(uid, device)
        await this.#stay(device)
      } catch {
        // The node is away, or not ready, or silent: another one, later.
        device?.cut()
      }
      await new Promise((resolve) => setTimeout(resolve, COME_BACK_MS))
    }
  }

  /** Pings, as a phone does, until the connection is lost or does not answer any more. */
  async #stay({ client }: Device): Promise<void> {
    while (!this.#stopped && !client.closed) {
      await within(client.ping(), 'a ping', PING_ANSWER_MS)
      await new Promise((resolve) => setTimeout(resolve, PING_EVERY_MS))
    }
    client.cut()
  }

  async #send(sender: LoadSender): Promise<void> {
    while (!this.#stopped && !sender.done) {
      await sender.run(this.server).catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, COME_BACK_MS))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    for (const device of this.#connected.values()) device.cut()
    await Promise.race([
      Promise.all(this.#loops),
      new Promise((resolve) => setTimeout(resolve, 5000).unref()),
    ])
  }
}
