/** A messenger's device on a raw connection: signs in, follows inbox and replies, sends, remembers what it got. */
import { type ConnectInput, type IPublishPacket, type Packet, RawClient, type Version } from './raw-client.ts'
import type { TestServer } from './server.ts'
import { until, WAIT_MS } from './wait.ts'

/** Pings in a row without anything between their answers. */
const SETTLED_PINGS = 3

export type InboxEntry = {
  log: string
  epoch: string
  seq: number
  at: number
  kind: string
  from: string
  device?: string
  id?: string
  type: string
  body: Record<string, unknown>
  /** Of a gap. */
  to?: number
  reason?: string
}

type Reply = {
  kind: string
  id?: string
  ref?: string
  op?: string
  log?: string
  seq?: number
  at?: number
  code?: string
  message?: string
  retryAfterMs?: number
  phase?: string
  pending?: number
  idempotent?: boolean
  result?: unknown
  details?: unknown
}

type SendInput = {
  id?: string
  to: string
  text?: string
  type?: string
  body?: Record<string, unknown>
}

export type DeviceOptions = {
  version?: Version
  clean?: boolean
  autoAck?: boolean
  /** Subscribes reply and inbox after the CONNECT. Default true. */
  subscribe?: boolean
  token?: string
  connect?: Partial<ConnectInput>
}

export class Device implements Disposable {
  readonly uid: string
  readonly id: string
  readonly client: RawClient
  sessionPresent = false
  /** Every PUBLISH of the inbox as it came, repeats included. */
  readonly deliveries: IPublishPacket[] = []
  /** Everything that came on the inbox, in order, repeats included. */
  readonly inbox: InboxEntry[] = []
  /** The messages that came, without repeats of (log, epoch, seq). */
  readonly messages: InboxEntry[] = []
  readonly replies: Reply[] = []
  readonly #seen = new Set<string>()

  constructor(uid: string, id: string, client: RawClient) {
    this.uid = uid
    this.id = id
    this.client = client
    this.client.onPacket((packet) => this.#take(packet))
  }

  #take(packet: Packet): void {
    if (packet.cmd !== 'publish') return
    const payload = () => JSON.parse(String(packet.payload)) as unknown
    if (packet.topic === this.replyTopic) {
      this.replies.push(payload() as Reply)
      // Without automatic acknowledgements it is the inbox that a test wants to hold.
      if (!this.client.autoAck) this.client.ack(packet)
    }
    if (packet.topic === this.inboxTopic) this.#takeEntry(packet, payload() as InboxEntry)
  }

  #takeEntry(packet: IPublishPacket, entry: InboxEntry): void {
    this.deliveries.push(packet)
    this.inbox.push(entry)
    const name = `${entry.log} ${entry.epoch} ${entry.seq}`
    if (entry.kind !== 'message' || this.#seen.has(name)) return
    this.#seen.add(name)
    this.messages.push(entry)
  }

  /** Connects, and subscribes unless told otherwise. A session that is present keeps its subscriptions. */
  static async connect(
    server: TestServer,
    uid: string,
    id: string,
    options: DeviceOptions = {},
  ): Promise<Device> {
    const { version = 4, clean = true, autoAck = true } = options
    const client = await RawClient.open({ port: server.mqttPort, version, autoAck })
    const device = new Device(uid, id, client)
    const ack = await client.connect({
      clientId: `${uid}/${id}`,
      username: uid,
      password: options.token ?? server.token(uid, id),
      clean,
      ...(version === 5 && !clean && { properties: { sessionExpiryInterval: 3600 } }),
      ...options.connect,
    })
    if (ack.code !== 0) throw new Error(`CONNECT of ${uid}/${id} refused with 0x${ack.code.toString(16)}`)
    device.sessionPresent = ack.sessionPresent
    if (options.subscribe ?? true) await device.follow()
    return device
  }

  get inboxTopic(): string {
    return `u/${this.uid}/inbox`
  }

  get replyTopic(): string {
    return `u/${this.uid}/reply/${this.id}`
  }

  /** Subscribes replies, then the inbox, so that the sync replies are seen. */
  async follow(): Promise<void> {
    const granted = [
      ...(await this.client.subscribe(this.replyTopic)),
      ...(await this.client.subscribe(this.inboxTopic)),
    ]
    if (granted.some((code) => code !== 1)) throw new Error(`SUBACK of ${this.uid}: ${granted}`)
  }

  get texts(): string[] {
    return this.messages.map((entry) => String(entry.body.text))
  }

  /** The first reply that fits and has come or is still to come. */
  reply(fits: (reply: Reply) => boolean, what = 'a reply', timeoutMs = WAIT_MS): Promise<Reply> {
    return until(
      () => this.replies.find(fits),
      () => `${what}; replies: ${JSON.stringify(this.replies).slice(-400)}; ${this.client.story()}`,
      timeoutMs,
    )
  }

  async untilSynced(): Promise<void> {
    await this.reply((reply) => reply.kind === 'sync' && reply.phase === 'done', 'sync done')
  }

  untilMessages(count: number, timeoutMs = WAIT_MS): Promise<InboxEntry[]> {
    return until(
      () => (this.messages.length >= count ? this.messages : false),
      () => `${count} messages, ${this.messages.length} came; ${this.client.story()}`,
      timeoutMs,
    )
  }

  untilText(text: string, timeoutMs = WAIT_MS): Promise<InboxEntry> {
    return until(
      () => this.messages.find((entry) => entry.body.text === text),
      () => `the message ${text}; ${this.client.story()}`,
      timeoutMs,
    )
  }

  /** Publishes to `u/{uid}/send` without waiting; answers with the packet id. */
  publishSend(send: SendInput | string, packet: { messageId?: number; dup?: boolean } = {}): number {
    const payload = typeof send === 'string' ? send : JSON.stringify(send)
    return this.client.publish({ topic: `u/${this.uid}/send`, payload, ...packet })
  }

  /** Sends and resolves with the reply, once the PUBACK is there too. The send must carry an id. */
  async send(send: SendInput & { id: string }): Promise<Reply> {
    const messageId = this.publishSend(send)
    await this.client.next('puback', (packet) => packet.messageId === messageId)
    return this.reply((reply) => reply.id === send.id, `the reply to ${send.id}`)
  }

  /** Calls an operation over MQTT and resolves with its answer. */
  async call(operation: string, params: Record<string, unknown>, ref: string): Promise<Reply> {
    const payload = JSON.stringify({ ...params, ref })
    await this.client.publishAcked({ topic: `u/${this.uid}/call/${operation}`, payload })
    return this.reply((reply) => reply.ref === ref, `the answer of ${operation}`)
  }

  /** Resolves when the server has nothing more to say: it answers pings with nothing in between. */
  async settle(): Promise<void> {
    for (let quiet = 0, seen = -1; quiet < SETTLED_PINGS; ) {
      await this.client.ping()
      quiet = this.client.packets.length - 1 === seen ? quiet + 1 : 0
      seen = this.client.packets.length
    }
  }

  onInbox(listener: (entry: InboxEntry, packet: IPublishPacket) => void): void {
    this.client.onPacket((packet: Packet) => {
      if (packet.cmd !== 'publish' || packet.topic !== this.inboxTopic) return
      listener(JSON.parse(String(packet.payload)) as InboxEntry, packet)
    })
  }

  /** DISCONNECT; a persistent session stays. */
  async leave(): Promise<void> {
    await this.client.disconnect()
  }

  cut(): void {
    this.client.cut()
  }

  [Symbol.dispose](): void {
    this.client.cut()
  }
}
