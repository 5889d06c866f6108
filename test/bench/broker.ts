import type { GeneratorOptions } from './generator.ts'

export const BROKER_NAMES = ['wochat', 'aedes', 'mosquitto'] as const
export type BrokerName = (typeof BROKER_NAMES)[number]

/** Client ids, usernames, tokens, topics and payload: how one broker wants to be spoken to. */
export type Addressing = GeneratorOptions

export interface PeopleOptions {
  publishers: number
  devices: number
  /** Keeps people of different parts of a row apart. */
  prefix?: string
}

export interface GroupAddressing {
  /** For publishers, then members, sending to the group. */
  flow: Addressing
  /** For the members alone. */
  members: Addressing
}

/** A running broker of one run, and how each kind of workload is addressed on it. */
export interface Broker extends AsyncDisposable {
  readonly name: BrokerName
  readonly pid: number
  readonly port: number
  readonly logTail: string
  /** Publisher p writes to device t; without publishers, devices alone. */
  people(options: PeopleOptions): Promise<Addressing>
  /** Publishers write to one group; its members are the devices. */
  group(options: { publishers: number; members: number }): Promise<GroupAddressing>
  /** Plain MQTT from publisher k to subscriber k. */
  plain(pairs: number): Promise<Addressing>
}
