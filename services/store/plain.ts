/** Plain MQTT (the engine's side) in the store: retained messages, subscriptions, offline queues, wills. */
export interface PlainStore {
  /** Ends what a device's session holds on the plain side: its subscriptions, queue and half-open QoS 2. */
  endPlainSession(clientId: string): Promise<void>
}
