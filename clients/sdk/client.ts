/**
 * A device of a user, connected by MQTT.
 *
 * ```ts
 * const client = await connect({ url: 'mqtt://127.0.0.1:1883', uid: 'alice', deviceId: 'laptop', token })
 * const { seq } = await client.send('bob', 'Hello!')
 * for await (const entry of client.entries()) console.log(entry.from, entry.body)
 * ```
 *
 * Promises: a send that resolved is on the server's disk, once, whatever happened to the connection meanwhile. Sends
 * that wait for each other keep their order; among those that do not, one that the server refuses for a while (busy,
 * rate limit) and that is sent again may come after later ones. An entry is yielded once while this object lives, in the order of its log, and is acknowledged after it was handled.
 */
import {
  findOperation,
  type OperationName,
  type Params,
  type Result,
} from '../../protocol/catalogue/catalogue.ts'
import type { Entry, Gap } from '../../protocol/entry.ts'
import { WochatError } from '../../protocol/errors.ts'
import type { UserId } from '../../protocol/ids.ts'
import type { LiveEvent, Reply } from '../../protocol/reply.ts'
import { callTopic, sendTopic } from '../../protocol/topics.ts'
import { Connection, type ConnectionOptions } from './connection.ts'
import { ClientError, readRefusal } from './errors.ts'
import { Events } from './events.ts'
import { Inbox, parseObject } from './inbox.ts'
import { Outbox, type OutgoingRequest } from './outbox.ts'

const REQUEST_TIMEOUT_MS = 60_000
const RECONNECT_MIN_MS = 250
const RECONNECT_MAX_MS = 30_000
const SESSION_EXPIRY_SECONDS = 30 * 86_400

export type ConnectOptions = {
  /** `mqtt:`, `mqtts:`, `ws:` or `wss:`, e.g. `endpoints.ws` of a login. */
  url: string
  uid: string
  deviceId: string
  /** An access token, or what gives a valid one at each connect. */
  token: string | (() => Promise<string>)
  protocolVersion?: 4 | 5
  /** Life of the session, with its offline queue, without a connection. Default 30 days; 0 for none. */
  sessionExpirySeconds?: number
  /** Default true; false for a client that only sends and calls. */
  receive?: boolean
  /** Of each send and call, over all its attempts. */
  requestTimeoutMs?: number
  /** Listeners that are there before the first connection, so that they hear its `sync`. */
  on?: { [Name in keyof ClientEvents]?: (value: ClientEvents[Name]) => void }
}

export type ClientEvents = {
  /** Entries `from`..`to` of a log are not sent; reported where they would have come. */
  gap: Gap
  /** `start`: what was missed follows; `done`: from here on the device is live. */
  sync: Extract<Reply, { kind: 'sync' }>
  live: LiveEvent
  /** The connection is there again. */
  connected: null
  /** The connection was lost; the next attempt follows by itself. */
  disconnected: Error
  /** The end: the server does not take this device any more. Every request has failed. */
  failed: Error
}

export type Content = string | { type: string; body: Record<string, unknown> }
export type Sent = { log: string; seq: number; at: number }

/** Rejects with {@link WochatError} when the server refuses the device, with {@link ClientError} when it is not reached. */
export async function connect(options: ConnectOptions): Promise<Client> {
  const client = new Client(options)
  await client.start()
  return client
}

export class Client implements AsyncDisposable {
  readonly #options: ConnectOptions
  readonly #events = new Events<ClientEvents>()
  readonly #outbox = new Outbox()
  readonly #inbox = new Inbox((gap) => this.#events.emit('gap', gap))
  #connection: Connection | null = null
  #retryTimer: NodeJS.Timeout | undefined
  #attempts = 0
  #closed = false

  /** @NOTE Use {@link connect}. */
  constructor(options: ConnectOptions) {
    this.#options = options
    for (const [name, listener] of Object.entries(options.on ?? {})) {
      this.#events.on(name as keyof ClientEvents, listener as (value: unknown) => void)
    }
  }

  async start(): Promise<void> {
    try {
      await this.#open()
    } catch (error) {
      this.#end(error as Error)
      throw error
    }
  }

  /** Returns what takes the listener away again. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): () => void {
    return this.#events.on(name, listener)
  }

  /** Entries of the inbox, each once. Asking for the next one acknowledges the one before. One reader at a time. */
  entries(): AsyncGenerator<Entry, void, void> {
    return this.#inbox.entries()
  }

  /** `to`: a uid, `g:...` or a conversation id. Without `id` one is made; under the same id it is stored once. */
  async send(to: string, content: Content, { id = randomId() }: { id?: string } = {}): Promise<Sent> {
    const message = typeof content === 'string' ? { text: content } : content
    const request = { key: id, topic: sendTopic(this.#uid), ordered: true, repeatable: true }
    const answer = await this.#request(request, { id, to, ...message })
    const { log, seq, at } = answer as Extract<Reply, { kind: 'accepted'; seq: number }>
    return { log, seq, at }
  }

  /** An operation of the catalogue. A mutating one gets a `requestId`, so that it takes effect once. */
  async call<Name extends OperationName>(operation: Name, params: Params<Name>): Promise<Result<Name>> {
    const definition = findOperation(operation)
    if (definition === undefined) throw new WochatError('unknown_operation')
    const ref = randomId()
    const idField = operation === 'messages.send' ? 'id' : 'requestId'
    const takesId = idField in definition.params.properties
    const named = takesId ? { [idField]: ref } : {}
    const repeatable = takesId || !definition.mutating
    const request = { key: ref, topic: callTopic(this.#uid, operation), ordered: false, repeatable }
    const answer = await this.#request(request, { ...named, ...params, ref })
    return (answer as Extract<Reply, { kind: 'result' }>).result as Result<Name>
  }

  /** Disconnects. Requests without an answer fail as `closed`; the session with its queue stays. */
  async close(): Promise<void> {
    if (this.#closed) return
    const connection = this.#connection
    this.#end(null)
    await connection?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #uid(): UserId {
    // The connection has parsed it.
    return this.#options.uid as UserId
  }

  #request(
    request: Pick<OutgoingRequest, 'key' | 'topic' | 'ordered' | 'repeatable'>,
    payload: object,
  ): Promise<unknown> {
    if (this.#closed) return Promise.reject(new ClientError('closed'))
    const timeoutMs = this.#options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS
    return this.#outbox.request({ ...request, payload: JSON.stringify(payload), timeoutMs })
  }

  // -------------------------------------------------------------- the connection

  async #open(): Promise<void> {
    const { token } = this.#options
    const options: ConnectionOptions = {
      url: this.#options.url,
      uid: this.#options.uid,
      deviceId: this.#options.deviceId,
      token: typeof token === 'string' ? token : await token(),
      protocolVersion: this.#options.protocolVersion ?? 5,
      sessionExpirySeconds: this.#options.sessionExpirySeconds ?? SESSION_EXPIRY_SECONDS,
      receive: this.#options.receive ?? true,
    }
    const connection = await Connection.open(options, {
      inbox: (payload, acknowledge) => this.#inbox.receive(payload, acknowledge),
      reply: (payload) => this.#onReply(parseObject(payload) as Reply),
      live: (payload) => this.#events.emit('live', parseObject(payload) as LiveEvent),
      closed: (error) => this.#onClosed(error),
    })
    if (this.#closed) {
      await connection.close()
      return
    }
    this.#connection = connection
    this.#attempts = 0
    this.#outbox.connected(connection)
    this.#events.emit('connected', null)
  }

  #onClosed(error: Error): void {
    this.#connection = null
    if (this.#closed) return
    this.#outbox.disconnected()
    this.#inbox.disconnected()
    if (isFinal(error)) {
      this.#fail(error)
      return
    }
    this.#events.emit('disconnected', error)
    this.#retry()
  }

  #retry(): void {
    // Full jitter: after a restart of the server its clients do not come back in one moment.
    const ceiling = Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** this.#attempts++)
    this.#retryTimer = setTimeout(() => void this.#reopen(), RECONNECT_MIN_MS + Math.random() * ceiling)
  }

  async #reopen(): Promise<void> {
    try {
      await this.#open()
    } catch (error) {
      this.#inbox.disconnected()
      if (this.#closed) return
      if (isFinal(error as Error)) this.#fail(error as Error)
      else this.#retry()
    }
  }

  #fail(error: Error): void {
    this.#end(error)
    this.#events.emit('failed', error)
  }

  #end(error: Error | null): void {
    this.#closed = true
    this.#connection = null
    clearTimeout(this.#retryTimer)
    this.#outbox.close(error ?? new ClientError('closed'))
    this.#inbox.close(error)
  }

  // -------------------------------------------------------------- what the server answers

  #onReply(reply: Reply): void {
    if (reply.kind === 'accepted') this.#outbox.accept(reply.id ?? '', reply)
    else if (reply.kind === 'result') this.#outbox.accept(reply.ref ?? '', reply)
    else if (reply.kind === 'sync') this.#events.emit('sync', reply)
    else if (reply.kind === 'refused') {
      this.#outbox.refuse(('op' in reply ? reply.ref : reply.id) ?? '', readRefusal(reply))
    }
  }
}

/** Trying again with what gave this error cannot help. */
function isFinal(error: Error): boolean {
  if (error instanceof ClientError) return error.code === 'taken_over'
  return error instanceof WochatError && !error.retryable && error.code !== 'internal'
}

function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
