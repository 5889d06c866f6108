/** One MQTT connection of a device, from its CONNECT to its end. A client opens one after the other. */
import mqtt, { type ErrorWithReasonCode, type IConnackPacket, type MqttClient, type Packet } from 'mqtt'
import { WochatError } from '../../protocol/errors.ts'
import { type DeviceId, parseDeviceId, parseUserId, type UserId } from '../../protocol/ids.ts'
import { inboxTopic, liveTopic, replyTopic } from '../../protocol/topics.ts'
import { ClientError, readReason } from './errors.ts'
import { IN_FLIGHT_MAX, type Publisher } from './outbox.ts'

const CONNECT_TIMEOUT_MS = 10_000
const KEEP_ALIVE_SECONDS = 30
const TAKEN_OVER = 0x8e

export type ConnectionOptions = {
  /** `mqtt:`, `mqtts:`, `ws:` or `wss:`. */
  url: string
  uid: string
  deviceId: string
  token: string
  protocolVersion: 4 | 5
  /** Life of the session without a connection; 0 ends it with the connection. */
  sessionExpirySeconds: number
  /** Subscribes the inbox and the live topic, not only the replies. */
  receive: boolean
}

/** What a connection brings. Nothing comes after `closed`. */
type ConnectionEvents = {
  inbox(payload: Uint8Array, acknowledge: () => void): void
  reply(payload: Uint8Array): void
  live(payload: Uint8Array): void
  closed(error: Error): void
}

export class Connection implements Publisher {
  readonly inFlightMax: number
  readonly #mqtt: MqttClient

  /** Resolves when the topics are subscribed. Rejects with {@link WochatError} or {@link ClientError}. */
  static async open(options: ConnectionOptions, events: ConnectionEvents): Promise<Connection> {
    const uid = parseUserId(options.uid)
    const deviceId = parseDeviceId(options.deviceId)
    if (uid === undefined) throw new WochatError('bad_request', 'uid: not of the form [A-Za-z0-9._@-]{1,64}')
    if (deviceId === undefined)
      throw new WochatError('bad_request', 'deviceId: not of the form [A-Za-z0-9_-]{1,64}')
    const client = mqtt.connect(options.url, buildConnect(options))
    const closed = watchEnd(client)
    route(client, uid, deviceId, events)
    try {
      const connack = await Promise.race([
        waitForConnack(client),
        closed.then((error) => Promise.reject(error)),
      ])
      await Promise.race([
        subscribe(client, uid, deviceId, options),
        closed.then((error) => Promise.reject(error)),
      ])
      void closed.then((error) => events.closed(error))
      return new Connection(client, connack)
    } catch (error) {
      client.end(true)
      throw error
    }
  }

  private constructor(client: MqttClient, connack: IConnackPacket) {
    this.#mqtt = client
    this.inFlightMax = Math.min(connack.properties?.receiveMaximum ?? IN_FLIGHT_MAX, IN_FLIGHT_MAX)
  }

  publish(topic: string, payload: string, settled: (refusal: WochatError | null) => void): void {
    this.#mqtt.publish(topic, payload, { qos: 1 }, (error, packet) => {
      const reason = (error as ErrorWithReasonCode | null)?.code
      if (!error) settled(null)
      else if (typeof reason === 'number') settled(readReason(reason, reasonStringOf(packet)))
      // Any other error is the end of the connection, which `closed` tells.
    })
  }

  /** Sends DISCONNECT; `closed` follows. */
  async close(): Promise<void> {
    await this.#mqtt.endAsync()
  }

  /** Drops the socket without a DISCONNECT. */
  abort(): void {
    this.#mqtt.stream.destroy()
  }
}

function buildConnect(options: ConnectionOptions): mqtt.IClientOptions {
  const persistent = options.sessionExpirySeconds > 0
  return {
    clientId: `${options.uid}/${options.deviceId}`,
    username: options.uid,
    password: options.token,
    protocolVersion: options.protocolVersion,
    // MQTT 3.1.1 has no expiry of its own: there the server's limit holds.
    clean: !persistent,
    ...(options.protocolVersion === 5 && {
      properties: { sessionExpiryInterval: options.sessionExpirySeconds },
    }),
    keepalive: KEEP_ALIVE_SECONDS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    resubscribe: false,
  }
}

function waitForConnack(client: MqttClient): Promise<IConnackPacket> {
  return new Promise((resolve) => client.once('connect', resolve))
}

async function subscribe(
  client: MqttClient,
  uid: UserId,
  deviceId: DeviceId,
  { receive }: ConnectionOptions,
): Promise<void> {
  const filters = {
    [replyTopic(uid, deviceId)]: { qos: 1 as const },
    ...(receive && { [inboxTopic(uid)]: { qos: 1 as const }, [liveTopic(uid)]: { qos: 0 as const } }),
  }
  try {
    await client.subscribeAsync(filters)
  } catch (cause) {
    throw new WochatError('topic_denied', 'the server does not grant the topics of the device', { cause })
  }
}

/** Resolves with the reason when the connection has ended, for any reason. */
function watchEnd(client: MqttClient): Promise<Error> {
  let reason: Error | null = null
  client.on('packetreceive', (packet: Packet) => {
    reason ??= readEnd(packet)
  })
  client.on('error', (error) => {
    reason ??= new ClientError('unreachable', describe(error), { cause: error })
  })
  return new Promise((resolve) => {
    client.once('close', () => {
      client.end(true)
      resolve(reason ?? new ClientError('unreachable', 'the server closed the connection'))
    })
  })
}

/** The refusal in a CONNACK, or the reason in a DISCONNECT of the server. */
function readEnd(packet: Packet): Error | null {
  if (packet.cmd !== 'connack' && packet.cmd !== 'disconnect') return null
  const code = packet.reasonCode ?? (packet.cmd === 'connack' ? packet.returnCode : 0) ?? 0
  if (code === 0) return null
  if (packet.cmd === 'disconnect' && code === TAKEN_OVER) return new ClientError('taken_over')
  return readReason(code, reasonStringOf(packet))
}

function reasonStringOf(packet: Packet | undefined): string | undefined {
  const properties = (packet as { properties?: { reasonString?: string } } | undefined)?.properties
  return properties?.reasonString
}

/** An address with several families fails with an empty message and one error per family. */
function describe(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((one: Error) => one.message).join('; ')
  return error.message
}

/**
 * Hands each PUBLISH to its event. The acknowledgement of an entry waits for the application, and other packets
 * must not wait for it: MQTT.js skips its own PUBACK when the handler fails, and ours is sent later.
 */
function route(client: MqttClient, uid: UserId, deviceId: DeviceId, events: ConnectionEvents): void {
  const inbox = inboxTopic(uid)
  const reply = replyTopic(uid, deviceId)
  const live = liveTopic(uid)
  client.handleMessage = ({ topic, payload, messageId, qos }, done) => {
    const bytes = payload as Uint8Array
    try {
      if (topic === inbox && qos === 1) {
        events.inbox(bytes, () => sendPuback(client, messageId!))
        done(new Error('acknowledged by the application'))
        return
      }
      if (topic === reply) events.reply(bytes)
      if (topic === live) events.live(bytes)
      done()
    } catch (error) {
      done(error as Error)
      client.emit('error', error as Error)
      client.stream.destroy()
    }
  }
}

function sendPuback(client: MqttClient, messageId: number): void {
  // MQTT.js offers no later PUBACK; its version is pinned, and the SDK's tests acknowledge over a real connection.
  // biome-ignore lint/complexity/useLiteralKeys: the method is private, which only an index passes
  if (client.connected) client['_sendPacket']({ cmd: 'puback', messageId, reasonCode: 0 })
}
