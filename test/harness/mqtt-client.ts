/** MQTT.js, the client that most apps use, over TCP and over WebSocket. */
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import type { TestServer } from './server.ts'
import { until } from './wait.ts'

const CONNECT_MS = 15_000

type MqttJsOptions = Omit<IClientOptions, 'protocolVersion'> & {
  over?: 'tcp' | 'ws'
  version?: 4 | 5
  token?: string
}

type Received = { topic: string; payload: string; qos: number; retain: boolean; dup: boolean }

/** A connected MQTT.js client that remembers what came; it does not reconnect by itself. */
export class MqttJs implements AsyncDisposable {
  readonly client: MqttClient
  readonly received: Received[] = []

  constructor(client: MqttClient) {
    this.client = client
    client.on('message', (topic, payload, { qos, retain, dup }) => {
      this.received.push({ topic, payload: payload.toString('utf8'), qos, retain, dup })
    })
    // What the server thinks of us is asserted by the tests, on the connection's own events.
    client.on('error', () => {})
  }

  static async connect(
    server: TestServer,
    uid: string,
    deviceId: string,
    options: MqttJsOptions = {},
  ): Promise<MqttJs> {
    const { over = 'tcp', version = 4, token, ...rest } = options
    const url =
      over === 'ws' ? `ws://127.0.0.1:${server.httpPort}/mqtt` : `mqtt://127.0.0.1:${server.mqttPort}`
    const client = await connectAsync(url, {
      clientId: `${uid}/${deviceId}`,
      username: uid,
      password: token ?? server.token(uid, deviceId),
      protocolVersion: version,
      reconnectPeriod: 0,
      connectTimeout: CONNECT_MS,
      ...rest,
    })
    return new MqttJs(client)
  }

  of(topic: string): Received[] {
    return this.received.filter((message) => message.topic === topic)
  }

  untilReceived(fits: (message: Received) => boolean, what: string): Promise<Received> {
    return until(
      () => this.received.find(fits),
      () => `${what}; came: ${JSON.stringify(this.received).slice(-500)}`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.endAsync(true)
  }
}
