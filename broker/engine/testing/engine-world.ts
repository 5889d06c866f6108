/** The real engine on a real store, which can be stopped and started again on the same folder. */
import { pino } from 'pino'
import type { Store } from '../../../services/store/contract.ts'
import { createEngine, type Engine, type EngineSettings } from '../engine.ts'
import { ENGINE_SETTINGS } from './engine-settings.ts'
import { type DeviceOptions, PlainDevice } from './plain-device.ts'
import { TempStore } from './temp-store.ts'

export class EngineWorld {
  readonly #temp = new TempStore()
  readonly #settings: Partial<EngineSettings>
  engine!: Engine
  store!: Store

  static async start(settings: Partial<EngineSettings> = {}): Promise<EngineWorld> {
    const world = new EngineWorld(settings)
    await world.#start()
    return world
  }

  private constructor(settings: Partial<EngineSettings>) {
    this.#settings = settings
  }

  async #start(): Promise<void> {
    this.store = await this.#temp.open()
    this.engine = await createEngine({
      store: this.store,
      log: pino({ level: process.env.ENGINE_LOG ?? 'silent' }),
      settings: { ...ENGINE_SETTINGS, ...this.#settings },
    })
  }

  device(clientId: string, options?: DeviceOptions): PlainDevice {
    return new PlainDevice(this.engine, clientId, options)
  }

  async restart(): Promise<void> {
    await this.engine.close()
    await this.#temp.close()
    await this.#start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close()
    await this.#temp[Symbol.asyncDispose]()
  }
}
