/**
 * A broker that breaks its promise on every Nth delivery, to prove that the load generator notices.
 * `node faulty.ts PORT none|drop|duplicate|swap|misdeliver N`; prints `ready`, and `flowing` at the first message. Just enough MQTT 3.1.1 for that.
 */
import net from 'node:net'
import mqtt from 'mqtt-packet'

type Fault = 'none' | 'drop' | 'duplicate' | 'swap' | 'misdeliver'

const port = Number(process.argv[2])
const fault = process.argv[3] as Fault
const every = Number(process.argv[4])

class Subscriber {
  private held: Buffer | undefined
  private packetId = 0
  readonly topic: string
  private readonly socket: net.Socket

  constructor(topic: string, socket: net.Socket) {
    this.topic = topic
    this.socket = socket
  }

  deliver(payload: Buffer): void {
    this.write(payload)
    if (this.held !== undefined) this.write(this.held)
    this.held = undefined
  }

  /** Keeps the message until the next one has overtaken it. */
  hold(payload: Buffer): void {
    this.held = payload
  }

  private write(payload: Buffer): void {
    this.packetId = (this.packetId % 65_535) + 1
    const packet = { cmd: 'publish', qos: 1, dup: false, retain: false, messageId: this.packetId } as const
    this.socket.write(mqtt.generate({ ...packet, topic: this.topic, payload }))
  }
}

const subscribers: Subscriber[] = []
let deliveries = 0

function deliver(to: Subscriber, payload: Buffer): void {
  deliveries += 1
  if (deliveries === 1) console.log('flowing')
  const faultOfThis = deliveries % every === 0 ? fault : 'none'
  if (faultOfThis === 'drop') return
  if (faultOfThis === 'swap') {
    to.hold(payload)
    return
  }
  if (faultOfThis === 'misdeliver') subscribers.find(({ topic }) => topic !== to.topic)?.deliver(payload)
  if (faultOfThis === 'duplicate') to.deliver(payload)
  to.deliver(payload)
}

function serve(socket: net.Socket): void {
  const parser = mqtt.parser()
  parser.on('packet', (packet) => {
    if (packet.cmd === 'connect')
      socket.write(mqtt.generate({ cmd: 'connack', returnCode: 0, sessionPresent: false }))
    if (packet.cmd === 'subscribe') {
      for (const { topic } of packet.subscriptions) subscribers.push(new Subscriber(topic, socket))
      socket.write(mqtt.generate({ cmd: 'suback', messageId: packet.messageId!, granted: [1] }))
    }
    if (packet.cmd === 'publish') {
      socket.write(mqtt.generate({ cmd: 'puback', messageId: packet.messageId! }))
      for (const to of subscribers) if (to.topic === packet.topic) deliver(to, packet.payload as Buffer)
    }
  })
  socket.on('data', (bytes) => parser.parse(bytes))
  socket.on('error', () => socket.destroy()) // The generator may be gone in the middle of a write.
}

net.createServer(serve).listen(port, '127.0.0.1', () => console.log('ready'))
process.on('SIGTERM', () => process.exit(0))
