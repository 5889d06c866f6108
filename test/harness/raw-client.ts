/**
 * An MQTT client that does only what it is told: a raw socket, frames by `mqtt-packet`, acknowledgements on demand.
 *
 * It reads with a parser that is not ours, so that a fault of our codec cannot hide behind itself.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import {
  generate,
  type IConnackPacket,
  type IConnectPacket,
  type IPubackPacket,
  type IPublishPacket,
  type ISubscription,
  type Packet,
  parser,
  type UserProperties,
} from 'mqtt-packet'
import { until, WAIT_MS } from './wait.ts'

export type Version = 4 | 5

type RawOptions = {
  port: number
  version?: Version
  /** Answers QoS 1 and 2 of the server by itself. Default true. */
  autoAck?: boolean
}

export type ConnectInput = Omit<Partial<IConnectPacket>, 'cmd' | 'password' | 'protocolVersion'> & {
  clientId: string
  password?: string
}

type PublishInput = {
  topic: string
  payload: string | Buffer
  qos?: 0 | 1 | 2
  dup?: boolean
  retain?: boolean
  messageId?: number
  properties?: IPublishPacket['properties']
}

export type { IPublishPacket, Packet, UserProperties }

export class RawClient implements Disposable {
  readonly version: Version
  readonly socket: Socket
  readonly packets: Packet[] = []
  autoAck: boolean
  closed = false
  /** What the parser said about bytes that are no MQTT. */
  parseError: Error | null = null
  #nextId = 1
  #onPacket: ((packet: Packet) => void)[] = []

  constructor(socket: Socket, options: RawOptions) {
    this.socket = socket
    this.version = options.version ?? 4
    this.autoAck = options.autoAck ?? true
    this.#read()
  }

  /** Opens the socket and sends nothing yet. */
  static async open(options: RawOptions): Promise<RawClient> {
    const socket = connectSocket({ port: options.port, host: '127.0.0.1', noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket, options)
  }

  #read(): void {
    const frames = parser({ protocolVersion: this.version })
    frames.on('packet', (packet) => this.#take(packet))
    frames.on('error', (error: Error) => {
      this.parseError = error
    })
    this.socket.on('data', (chunk) => frames.parse(chunk))
    // A reset is one of the ways in which a server may close.
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.closed = true
    })
  }

  #take(packet: Packet): void {
    this.packets.push(packet)
    for (const listener of this.#onPacket) listener(packet)
    if (!this.autoAck) return
    if (packet.cmd === 'publish' && packet.qos === 1) this.ack(packet)
    if (packet.cmd === 'publish' && packet.qos === 2) {
      this.send({ cmd: 'pubrec', messageId: packet.messageId! })
    }
    if (packet.cmd === 'pubrel') this.send({ cmd: 'pubcomp', messageId: packet.messageId! })
    if (packet.cmd === 'pubrec') this.send({ cmd: 'pubrel', messageId: packet.messageId! })
  }

  onPacket(listener: (packet: Packet) => void): void {
    this.#onPacket.push(listener)
  }

  encode(packet: Packet): Buffer {
    return generate(packet, { protocolVersion: this.version })
  }

  /** Writes a packet; after the connection is closed this does nothing. */
  send(packet: Packet): void {
    this.write(this.encode(packet))
  }

  write(bytes: Uint8Array): void {
    if (!this.closed && this.socket.writable) this.socket.write(bytes)
  }

  nextId(): number {
    const id = this.#nextId
    this.#nextId = id === 65_535 ? 1 : id + 1
    return id
  }

  connectPacket(input: ConnectInput): IConnectPacket {
    const { password, ...rest } = input
    return {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: this.version,
      clean: true,
      keepalive: 60,
      ...rest,
      ...(password !== undefined && { password: Buffer.from(password) }),
    }
  }

  /** Sends CONNECT and resolves with the CONNACK, whatever it says. */
  async connect(input: ConnectInput): Promise<IConnackPacket & { code: number }> {
    this.send(this.connectPacket(input))
    const ack = await this.next('connack')
    return { ...ack, code: (this.version === 5 ? ack.reasonCode : ack.returnCode) ?? -1 }
  }

  /** The granted codes of a SUBSCRIBE. */
  async subscribe(...subscriptions: (string | ISubscription)[]): Promise<number[]> {
    const messageId = this.nextId()
    this.send({
      cmd: 'subscribe',
      messageId,
      subscriptions: subscriptions.map((each) => (typeof each === 'string' ? { topic: each, qos: 1 } : each)),
    })
    const ack = await this.next('suback', (packet) => packet.messageId === messageId)
    return ack.granted as number[]
  }

  async unsubscribe(...unsubscriptions: string[]): Promise<void> {
    const messageId = this.nextId()
    this.send({ cmd: 'unsubscribe', messageId, unsubscriptions })
    await this.next('unsuback', (packet) => packet.messageId === messageId)
  }

  /** The PUBLISH as a packet, with a fresh packet id where it needs one. */
  publishPacket(input: PublishInput): IPublishPacket {
    const { topic, payload, qos = 1, dup = false, retain = false, properties } = input
    return {
      cmd: 'publish',
      topic,
      payload,
      qos,
      dup,
      retain,
      ...(qos > 0 && { messageId: input.messageId ?? this.nextId() }),
      ...(properties && { properties }),
    }
  }

  /** Sends a PUBLISH without waiting; answers with its packet id (0 at QoS 0). */
  publish(input: PublishInput): number {
    const packet = this.publishPacket(input)
    this.send(packet)
    return packet.messageId ?? 0
  }

  /** Sends a PUBLISH at QoS 1 and resolves with its PUBACK. */
  async publishAcked(input: PublishInput): Promise<IPubackPacket> {
    const messageId = this.publish({ ...input, qos: 1 })
    return this.next('puback', (packet) => packet.messageId === messageId)
  }

  ack(packet: Packet): void {
    this.send({ cmd: 'puback', messageId: packet.messageId! })
  }

  /** All packets of a kind that have come. */
  received<C extends Packet['cmd']>(cmd: C): Extract<Packet, { cmd: C }>[] {
    return this.packets.filter((packet): packet is Extract<Packet, { cmd: C }> => packet.cmd === cmd)
  }

  /** All PUBLISHes of a topic that have come. */
  publishes(topic?: string): IPublishPacket[] {
    const all = this.received('publish')
    return topic === undefined ? all : all.filter((packet) => packet.topic === topic)
  }

  /** The first packet of a kind that fits and has come or is still to come. */
  next<C extends Packet['cmd']>(
    cmd: C,
    fits: (packet: Extract<Packet, { cmd: C }>) => boolean = () => true,
    timeoutMs = WAIT_MS,
  ): Promise<Extract<Packet, { cmd: C }>> {
    return until(
      () => {
        const found = this.received(cmd).find(fits)
        if (found === undefined && this.parseError) throw new Error(`not MQTT: ${this.parseError.message}`)
        if (found === undefined && this.closed) throw new Error(`closed before a ${cmd}; ${this.story()}`)
        return found
      },
      () => `a ${cmd}; ${this.story()}`,
      timeoutMs,
    ) as Promise<Extract<Packet, { cmd: C }>>
  }

  /** Resolves when everything written so far was handled by the server: it answers pings in order. */
  async ping(): Promise<void> {
    const before = this.received('pingresp').length
    this.send({ cmd: 'pingreq' })
    await until(
      () => this.received('pingresp').length > before || this.closed,
      () => `a pingresp; ${this.story()}`,
    )
    if (this.closed) throw new Error(`closed instead of a pingresp; ${this.story()}`)
  }

  /** Resolves when the server has closed the connection. */
  async untilClosed(timeoutMs = WAIT_MS): Promise<void> {
    await until(
      () => this.closed,
      () => `the server to close; ${this.story()}`,
      timeoutMs,
    )
  }

  /** Stops reading: the server's writes fill the buffers of the socket. */
  freeze(): void {
    this.socket.pause()
  }

  thaw(): void {
    this.socket.resume()
  }

  /** DISCONNECT and the end of the connection. */
  async disconnect(): Promise<void> {
    this.send({ cmd: 'disconnect', ...(this.version === 5 && { reasonCode: 0 }) } as Packet)
    await this.untilClosed()
  }

  /** Cuts the connection, without a DISCONNECT. */
  cut(): void {
    this.socket.destroy()
    this.closed = true
  }

  story(): string {
    const last = this.packets.slice(-8).map((packet) => packet.cmd)
    return `${this.packets.length} packets came, last: ${last.join(' ') || 'none'}${this.closed ? ', closed' : ''}`
  }

  [Symbol.dispose](): void {
    this.cut()
  }
}
