/**
 * People on several nodes who say something once and then fall silent: whatever a fault took from the last message, no
 * next one reveals. Their logs are of each kind that rings in its own way: of two people, of a small group whose nodes
 * are rung one by one, and of a large one that is rung by a broadcast.
 */
import { Device } from './device.ts'
import { makeAccounts, makeGroup, newUid } from './people.ts'
import type { TestServer } from './server.ts'
import { until, within } from './wait.ts'

const PING_EVERY_MS = 5000

/** Places of nodes in the server. */
export type QuietPlaces = {
  writer: number
  reader: number
  /** More members of the large group. */
  members: readonly number[]
}

export class QuietChat implements Disposable {
  readonly reader: Device
  readonly #server: TestServer
  readonly #writer: string
  /** Where everybody but the reader belongs. */
  readonly #places: ReadonlyMap<string, number>
  /** The reader, the small group and the large one. */
  readonly #targets: readonly string[]
  readonly #devices = new Map<string, Device>()
  /** Ids of the messages of a text, one for each target. */
  readonly #said = new Map<string, string[]>()
  readonly #pings: NodeJS.Timeout

  static async start(server: TestServer, places: QuietPlaces): Promise<QuietChat> {
    const [writer, reader] = [newUid('writer'), newUid('reader')]
    const members = new Map(places.members.map((place) => [newUid('member'), place]))
    server.serveFrom(places.writer)
    await makeAccounts(server, writer, reader, ...members.keys())
    const small = await makeGroup(server, writer, [reader])
    const large = await makeGroup(server, writer, [reader, ...members.keys()])
    server.serveFrom(places.reader)
    const device = await Device.connect(server, reader, 'phone', { clean: false })
    const of = new Map([[writer, places.writer], ...members])
    const chat = new QuietChat(server, writer, device, of, [reader, small, large])
    await chat.gather()
    return chat
  }

  private constructor(
    server: TestServer,
    writer: string,
    reader: Device,
    places: ReadonlyMap<string, number>,
    targets: readonly string[],
  ) {
    this.#server = server
    this.#writer = writer
    this.reader = reader
    this.#places = places
    this.#targets = targets
    this.#pings = setInterval(() => {
      for (const { client } of [reader, ...this.#devices.values()]) client.send({ cmd: 'pingreq' })
    }, PING_EVERY_MS)
  }

  /** Connects those again whose node has died. The reader stays where it is. */
  async gather(): Promise<void> {
    for (const [uid, place] of this.#places) {
      if (this.#devices.get(uid)?.client.closed === false) continue
      this.#server.serveFrom(place)
      this.#devices.set(uid, await Device.connect(this.#server, uid, 'phone', { version: 5 }))
    }
  }

  /** Sends once into each log and calls `acknowledged` in the moment of the last PUBACK. */
  async say(text: string, acknowledged: () => void = () => {}): Promise<void> {
    const writer = this.#devices.get(this.#writer)!
    const open = new Set<number | undefined>()
    const ids = this.#targets.map(() => newUid('said'))
    this.#said.set(text, ids)
    const all = new Promise<void>((resolve) => {
      writer.client.onPacket((packet) => {
        if (packet.cmd !== 'puback' || !open.delete(packet.messageId) || open.size > 0) return
        acknowledged()
        resolve()
      })
    })
    for (const [i, to] of this.#targets.entries()) open.add(writer.publishSend({ id: ids[i]!, to, text }))
    await within(all, `the PUBACKs of ${text}`)
  }

  /** The reader has it in each log, on the connection that it had from the start. */
  async untilRead(text: string, withinMs: number): Promise<void> {
    const { reader } = this
    const missing = () =>
      this.#targets.filter((_, i) => !reader.messages.some(({ id }) => id === this.#said.get(text)![i]))
    await until(
      () => missing().length === 0,
      () => `${text} in ${missing().join(' and ')}; ${reader.client.story()}`,
      withinMs,
    )
    if (reader.client.closed)
      throw new Error(`the connection of the reader was closed; ${reader.client.story()}`)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#pings)
    for (const device of [this.reader, ...this.#devices.values()]) device.cut()
  }
}
