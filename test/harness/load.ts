/** A load of messages from several senders, which resends what was not acknowledged; feeds the history checker. */
import { Device, type InboxEntry } from './device.ts'
import type { Accepted, Delivered } from './history-checker.ts'
import type { TestServer } from './server.ts'

/** Sends of one sender that wait for their answer. */
const WINDOW = 40
/** A send that was refused as busy goes again after this. */
const BUSY_MS = 200

/** What all senders of a run did, in the words of the checker. */
export class LoadRecord {
  readonly attempted = new Set<string>()
  readonly accepted: Accepted[] = []
  readonly delivered = new Map<string, Delivered[]>()
  readonly refused: string[] = []
  /** Refusals that asked to try again. */
  busy = 0

  /** Notes everything that a device receives, over all of its connections; also what came with its CONNACK. */
  watch(device: Device): void {
    const name = `${device.uid}/${device.id}`
    const entries = this.delivered.get(name) ?? []
    this.delivered.set(name, entries)
    const note = ({ kind, log, epoch, seq, id, body }: InboxEntry) => {
      if (kind === 'message') entries.push({ log, epoch, seq, id, text: String(body.text) })
    }
    for (const entry of device.inbox) note(entry)
    device.onInbox(note)
  }
}

/** One sender's messages, `{name}-0` onwards; each goes to the next of the receivers in turn. */
export class LoadSender {
  readonly uid: string
  readonly #receivers: readonly string[]
  readonly #record: LoadRecord
  readonly #answered = new Set<number>()
  readonly #paceMs: number
  #total: number
  /** Messages below this were sent at least once. */
  #begun = 0
  #end: () => void = () => {}

  /** `paceMs`: how long after its answer a message keeps its place among those under way. */
  constructor(
    record: LoadRecord,
    uid: string,
    receivers: readonly string[],
    total: number,
    { paceMs = 0 }: { paceMs?: number } = {},
  ) {
    this.#paceMs = paceMs
    this.uid = uid
    this.#record = record
    this.#receivers = receivers
    this.#total = total
  }

  get answered(): number {
    return this.#answered.size
  }

  get total(): number {
    return this.#total
  }

  /** Begins no more messages: the total is what was begun. */
  enough(): void {
    this.#total = this.#begun
    if (this.done) this.#end()
  }

  get done(): boolean {
    return this.#answered.size === this.#total
  }

  /**
   * Connects and sends, in order, whatever has no answer yet. Resolves when all is answered or the connection is
   * gone; what was under way then is sent again by the next run, under the same ids.
   */
  async run(server: TestServer): Promise<void> {
    using device = await Device.connect(server, this.uid, 'load', { version: 5 })
    const open = Array.from({ length: this.#total }, (_, i) => i).filter((i) => !this.#answered.has(i))
    const { client } = device
    let next = 0
    let underWay = 0
    const fill = () => {
      while (underWay < WINDOW && next < open.length && open[next]! < this.#total) {
        this.#send(device, open[next++]!)
        underWay += 1
      }
    }
    const freePlace = () => {
      underWay -= 1
      fill()
    }
    const taken = new Promise<void>((resolve) => {
      this.#end = resolve
      client.onPacket((packet) => {
        if (packet.cmd !== 'publish' || packet.topic !== device.replyTopic) return
        const again = this.#take(String(packet.payload), () => {
          if (this.#paceMs === 0) freePlace()
          else setTimeout(freePlace, this.#paceMs)
        })
        if (again !== null) setTimeout(() => this.#send(device, again), BUSY_MS)
        if (this.done) resolve()
        client.packets.length = 0
      })
      client.socket.once('close', () => resolve())
    })
    fill()
    await taken
  }

  #idOf(index: number): string {
    return `${this.uid}-${index}`
  }

  #send(device: Device, index: number): void {
    const id = this.#idOf(index)
    this.#record.attempted.add(id)
    this.#begun = Math.max(this.#begun, index + 1)
    device.publishSend({ id, to: this.#receivers[index % this.#receivers.length]!, text: `text of ${id}` })
  }

  /** Notes the answer of a send, and calls `answered`. A send that was refused as busy is given back, to go again. */
  #take(payload: string, answered: () => void): number | null {
    const reply = JSON.parse(payload) as {
      kind: string
      id?: string
      log: string
      seq: number
      code?: string
    }
    if (reply.id === undefined) return null
    const index = Number(reply.id.slice(this.uid.length + 1))
    if (reply.kind === 'refused' && reply.code === 'busy') {
      this.#record.busy++
      return index
    }
    if (reply.kind === 'accepted') {
      this.#record.accepted.push({ id: reply.id, log: reply.log, seq: reply.seq })
      this.#answered.add(index)
    } else if (reply.kind === 'refused') {
      this.#record.refused.push(`${reply.id}: ${reply.code}`)
    }
    answered()
    return null
  }
}
