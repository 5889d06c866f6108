/** What a device hears on its live topic, and the signals that it gives. */
import type { Device } from './device.ts'
import { until } from './wait.ts'

type LiveEvent = { kind: string } & Record<string, unknown>

export class LiveEvents {
  readonly events: LiveEvent[] = []
  readonly #device: Device

  private constructor(device: Device) {
    this.#device = device
    device.client.onPacket((packet) => {
      if (packet.cmd !== 'publish' || packet.topic !== `u/${device.uid}/live`) return
      this.events.push(JSON.parse(String(packet.payload)) as LiveEvent)
    })
  }

  /** Subscribes the live topic of the device. */
  static async follow(device: Device): Promise<LiveEvents> {
    const live = new LiveEvents(device)
    await device.client.subscribe(`u/${device.uid}/live`)
    return live
  }

  signal(signal: unknown): void {
    const payload = typeof signal === 'string' ? signal : JSON.stringify(signal)
    this.#device.client.publish({ topic: `u/${this.#device.uid}/signal`, payload, qos: 0 })
  }

  ofKind(kind: string): LiveEvent[] {
    return this.events.filter((event) => event.kind === kind)
  }

  /** The first event of a kind that fits and has come or is still to come. */
  next(kind: string, fits: (event: LiveEvent) => boolean = () => true): Promise<LiveEvent> {
    return until(
      () => this.events.find((event) => event.kind === kind && fits(event)),
      () => `${kind} on live of ${this.#device.uid}; came: ${JSON.stringify(this.events).slice(-400)}`,
    )
  }
}
