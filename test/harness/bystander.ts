/** Two friends who keep chatting while something hostile happens beside them. */
import { expect } from 'vitest'
import { Device } from './device.ts'
import { newFriends } from './people.ts'
import type { TestServer } from './server.ts'
import { until } from './wait.ts'

const PERIOD_MS = 50

export class Bystanders {
  readonly #server: TestServer
  readonly #alice: Device
  readonly #bob: Device
  readonly #pid: number
  readonly #timer: NodeJS.Timeout
  #sent = 0

  constructor(server: TestServer, alice: Device, bob: Device) {
    this.#server = server
    this.#alice = alice
    this.#bob = bob
    this.#pid = server.pid
    this.#timer = setInterval(() => this.#say(), PERIOD_MS)
  }

  static async start(server: TestServer): Promise<Bystanders> {
    const { alice, bob } = await newFriends(server)
    return new Bystanders(
      server,
      await Device.connect(server, alice, 'phone'),
      await Device.connect(server, bob, 'phone', { version: 5 }),
    )
  }

  #say(): void {
    this.#sent += 1
    this.#alice.publishSend({ id: `m${this.#sent}`, to: this.#bob.uid, text: `${this.#sent}` })
  }

  /** Asserts that nothing was lost, doubled or reordered, on the same connections and the same process. */
  async assertUnharmed(): Promise<void> {
    const count = this.#sent + 1
    this.#say()
    await this.#bob.untilMessages(count)
    expect(this.#bob.texts.slice(0, count)).toEqual(Array.from({ length: count }, (_, i) => `${i + 1}`))
    await until(
      () => this.#alice.replies.filter((reply) => reply.kind === 'accepted').length >= count,
      `${count} accepted replies of the bystanders`,
    )
    expect(this.#server.pid).toBe(this.#pid)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#alice.cut()
    this.#bob.cut()
  }
}
