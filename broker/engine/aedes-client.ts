/**
 * One client of Aedes, over a pair of in-memory streams. It says CONNECT, SUBSCRIBE and UNSUBSCRIBE, one at a time, in
 * our own strict encoding; whatever else is done with a message goes past these streams.
 */
import { type Duplex, duplexPair } from 'node:stream'
import type { Client } from 'aedes'
import { PacketType, type ProtocolVersion, ReasonCode } from '../gate/codec/constants.ts'
import type { Subscription } from '../gate/codec/decode.ts'
import { decodeConnack, decodeSuback } from '../gate/codec/decode-server.ts'
import { encodeConnect, encodeSubscribe, encodeUnsubscribe } from '../gate/codec/encode.ts'
import { Framer } from '../gate/codec/framer.ts'
import type { Router } from './router.ts'

/** Aedes's answers are a few bytes; on MQTT 5 a reason string may come with them. */
const ANSWER_BYTES_MAX = 64 * 1024
/** To Aedes a persistent session never expires: the gate ends it. */
const NEVER_EXPIRES = 0xffff_ffff
const PACKET_ID = 1

type Answer = { type: number; buffer: Buffer; start: number; end: number }

class EngineClosedError extends Error {
  constructor() {
    super('the engine closed the connection')
    this.name = 'EngineClosedError'
  }
}

export class AedesClient {
  readonly #version: ProtocolVersion
  readonly #stream: Duplex
  readonly #client: Client
  readonly #framer = new Framer(ANSWER_BYTES_MAX, 'server')
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | null = null
  #closed = false

  constructor(router: Router, version: ProtocolVersion, onClosed: () => void) {
    this.#version = version
    const [ours, theirs] = duplexPair()
    this.#stream = ours
    this.#client = router.handle(theirs)
    // Keyed by filter and by broker: plain objects would find `constructor` in themselves.
    Object.assign(this.#client, { subscriptions: Object.create(null), duplicates: Object.create(null) })
    ours.on('data', (chunk: Buffer) => this.#framer.push(chunk, this))
    ours.on('error', () => {})
    theirs.once('close', () => {
      const wasClosed = this.#closed
      this.#close()
      if (!wasClosed) onClosed()
    })
  }

  /** The session was emptied before, if it had to be: here it always goes on. */
  async connect(clientId: string, { persistent }: { persistent: boolean }): Promise<void> {
    const version = this.#version
    // On 3.1.1 one flag says both: to begin without a session, and to leave none.
    const cleanStart = version === 4 && !persistent
    const properties = version === 5 && persistent ? { sessionExpiryInterval: NEVER_EXPIRES } : {}
    const { type, buffer, start, end } = await this.#ask(
      encodeConnect({ version, cleanStart, keepAliveSeconds: 0, clientId, properties }),
    )
    if (type !== PacketType.connack || decodeConnack(buffer, start, end, version).code !== 0) {
      throw new Error('the engine refused a connection')
    }
  }

  /** The granted QoS, or a code from 0x80 up. */
  async subscribe(subscription: Subscription, identifier: number | undefined): Promise<number> {
    const properties = identifier === undefined ? null : { subscriptionIdentifier: identifier }
    const version = this.#version
    return this.#code(encodeSubscribe({ version, packetId: PACKET_ID, properties, filters: [subscription] }))
  }

  /** 0, or 0x11 when there was no such subscription; always 0 on 3.1.1. */
  async unsubscribe(filter: string): Promise<number> {
    return this.#code(encodeUnsubscribe({ version: this.#version, packetId: PACKET_ID, filters: [filter] }))
  }

  /** Resolves when Aedes has let go of the client. */
  end(): Promise<void> {
    this.#close()
    return new Promise((resolve) => this.#client.close(() => setImmediate(resolve)))
  }

  onFrame(firstByte: number, buffer: Buffer, start: number, end: number): boolean {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.resolve({ type: firstByte >> 4, buffer, start, end })
    return true
  }

  async #code(request: Buffer): Promise<number> {
    const { buffer, start, end } = await this.#ask(request)
    return decodeSuback(buffer, start, end, this.#version).codes[0] ?? ReasonCode.success
  }

  #ask(request: Buffer): Promise<Answer> {
    if (this.#closed) return Promise.reject(new EngineClosedError())
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#stream.write(request)
    })
  }

  #close(): void {
    this.#closed = true
    this.#waiting?.reject(new EngineClosedError())
    this.#waiting = null
    this.#framer.close()
    this.#stream.destroy()
  }
}
