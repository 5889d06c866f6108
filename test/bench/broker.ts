import type { GeneratorOptions } from './generator.ts'

/** A wochat and its peers: one process each. */
export const SINGLE_BROKERS = ['wochat', 'aedes', 'mosquitto'] as const
/** Nodes around shared stores. `aedes-redis` is always one node, `aedes-redis-nodes` has as many as the row asks for. */
export const CLUSTER_BROKERS = ['wochat-cluster', 'aedes-redis', 'aedes-redis-nodes'] as const
export const BROKER_NAMES = [...SINGLE_BROKERS, ...CLUSTER_BROKERS] as const
export type BrokerName = (typeof BROKER_NAMES)[number]

export const OUR_BROKERS: readonly BrokerName[] = ['wochat', 'wochat-cluster']
/** What ours is compared with; of a row, the first of these that ran. */
export const YARDSTICKS: readonly BrokerName[] = ['aedes', 'aedes-redis', 'aedes-redis-nodes']

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

/** One process that takes connections. */
export interface BrokerNode {
  readonly pid: number
  readonly port: number
}

/** Where calls go, and who may make them. */
export interface ChatServer {
  readonly mqttPort: number
  readonly httpPort: number
  readonly adminPort: number
  /** For data of a run. */
  readonly folder: string
  /** Tokens of people at the generator's device. */
  sign(uids: readonly string[]): Promise<string[]>
}

/** A running broker of one run, and how each kind of workload is addressed on it. */
export interface Broker extends AsyncDisposable {
  readonly name: BrokerName
  readonly nodes: readonly [BrokerNode, ...BrokerNode[]]
  /** What the nodes share, by name: the first process of each. */
  readonly engines: ReadonlyMap<string, number>
  readonly logTail: string
  /** Publisher p writes to device t; without publishers, devices alone. */
  people(options: PeopleOptions): Promise<Addressing>
  /** Publishers write to one group; its members are the devices. */
  group(options: { publishers: number; members: number }): Promise<GroupAddressing>
  /** Of ours: the calls of a chat beside the messages. */
  readonly chat?: ChatServer
  /** Plain MQTT from publisher k to subscriber k. */
  plain(pairs: number): Promise<Addressing>
}
