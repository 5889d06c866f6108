/**
 * The properties of MQTT 5 (section 2.2.2.2, table 2-4): the one place that says which exist, how they look on the wire
 * and where they may occur. The types of all property lists are made from it.
 *
 * The `packets` are by direction where that matters: `publish` is what a client may send, `delivery` a PUBLISH
 * of a server; likewise `disconnect` and `serverDisconnect`. `ack` stands for PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK
 * and UNSUBACK, which all take the same two.
 */
type PropertyWire =
  | 'boolean'
  | 'bit'
  | 'uint16'
  | 'uint32'
  | 'varint'
  | 'varints'
  | 'string'
  | 'topic'
  | 'binary'
  | 'pairs'

export type PropertyList =
  | 'connect'
  | 'will'
  | 'connack'
  | 'publish'
  | 'delivery'
  | 'ack'
  | 'subscribe'
  | 'unsubscribe'
  | 'disconnect'
  | 'serverDisconnect'
  | 'auth'

interface PropertySpec {
  readonly id: number
  readonly wire: PropertyWire
  readonly packets: readonly PropertyList[]
  /** Is 0 refused? */
  readonly positive?: true
}

export const PROPERTIES = {
  payloadFormatIndicator: { id: 0x01, wire: 'bit', packets: ['publish', 'delivery', 'will'] },
  messageExpiryInterval: { id: 0x02, wire: 'uint32', packets: ['publish', 'delivery', 'will'] },
  contentType: { id: 0x03, wire: 'string', packets: ['publish', 'delivery', 'will'] },
  responseTopic: { id: 0x08, wire: 'topic', packets: ['publish', 'delivery', 'will'] },
  correlationData: { id: 0x09, wire: 'binary', packets: ['publish', 'delivery', 'will'] },
  subscriptionIdentifier: { id: 0x0b, wire: 'varint', packets: ['subscribe'], positive: true },
  // Never from a client [MQTT-3.3.4-6]; a server may send one per subscription that matched.
  subscriptionIdentifiers: { id: 0x0b, wire: 'varints', packets: ['delivery'], positive: true },
  sessionExpiryInterval: { id: 0x11, wire: 'uint32', packets: ['connect', 'connack', 'disconnect'] },
  assignedClientIdentifier: { id: 0x12, wire: 'string', packets: ['connack'] },
  serverKeepAlive: { id: 0x13, wire: 'uint16', packets: ['connack'] },
  authenticationMethod: { id: 0x15, wire: 'string', packets: ['connect', 'connack', 'auth'] },
  authenticationData: { id: 0x16, wire: 'binary', packets: ['connect', 'connack', 'auth'] },
  requestProblemInformation: { id: 0x17, wire: 'boolean', packets: ['connect'] },
  willDelayInterval: { id: 0x18, wire: 'uint32', packets: ['will'] },
  requestResponseInformation: { id: 0x19, wire: 'boolean', packets: ['connect'] },
  responseInformation: { id: 0x1a, wire: 'string', packets: ['connack'] },
  serverReference: { id: 0x1c, wire: 'string', packets: ['connack', 'serverDisconnect'] },
  reasonString: {
    id: 0x1f,
    wire: 'string',
    packets: ['connack', 'ack', 'disconnect', 'serverDisconnect', 'auth'],
  },
  receiveMaximum: { id: 0x21, wire: 'uint16', packets: ['connect', 'connack'], positive: true },
  topicAliasMaximum: { id: 0x22, wire: 'uint16', packets: ['connect', 'connack'] },
  topicAlias: { id: 0x23, wire: 'uint16', packets: ['publish', 'delivery'], positive: true },
  maximumQos: { id: 0x24, wire: 'bit', packets: ['connack'] },
  retainAvailable: { id: 0x25, wire: 'boolean', packets: ['connack'] },
  userProperties: {
    id: 0x26,
    wire: 'pairs',
    packets: [
      'connect',
      'will',
      'connack',
      'publish',
      'delivery',
      'ack',
      'subscribe',
      'unsubscribe',
      'disconnect',
      'serverDisconnect',
      'auth',
    ],
  },
  maximumPacketSize: { id: 0x27, wire: 'uint32', packets: ['connect', 'connack'], positive: true },
  wildcardSubscriptionAvailable: { id: 0x28, wire: 'boolean', packets: ['connack'] },
  subscriptionIdentifierAvailable: { id: 0x29, wire: 'boolean', packets: ['connack'] },
  sharedSubscriptionAvailable: { id: 0x2a, wire: 'boolean', packets: ['connack'] },
} as const satisfies Record<string, PropertySpec>

export type PropertyName = keyof typeof PROPERTIES

export type UserProperty = readonly [name: string, value: string]

interface WireValues {
  boolean: boolean
  bit: 0 | 1
  uint16: number
  uint32: number
  varint: number
  varints: readonly number[]
  string: string
  topic: string
  binary: Buffer
  pairs: readonly UserProperty[]
}

export type PropertyValue = WireValues[PropertyWire]

type IsIn<
  L extends PropertyList,
  N extends PropertyName,
> = L extends (typeof PROPERTIES)[N]['packets'][number] ? N : never

/** The properties one list may hold, e.g. `PropertiesOf<'connect'>`. An absent property has no key. */
export type PropertiesOf<L extends PropertyList> = {
  readonly [N in PropertyName as IsIn<L, N>]?: WireValues[(typeof PROPERTIES)[N]['wire']]
}

export type ConnectProperties = PropertiesOf<'connect'>
export type WillProperties = PropertiesOf<'will'>
export type ConnackProperties = PropertiesOf<'connack'>
export type PublishProperties = PropertiesOf<'publish'>
export type DeliveryProperties = PropertiesOf<'delivery'>
export type AckProperties = PropertiesOf<'ack'>
export type SubscribeProperties = PropertiesOf<'subscribe'>
export type UnsubscribeProperties = PropertiesOf<'unsubscribe'>
export type DisconnectProperties = PropertiesOf<'disconnect'>
export type ServerDisconnectProperties = PropertiesOf<'serverDisconnect'>
export type AuthProperties = PropertiesOf<'auth'>

export type NamedPropertySpec = PropertySpec & { readonly name: PropertyName }

export const PROPERTY_SPECS: readonly NamedPropertySpec[] = Object.entries<PropertySpec>(PROPERTIES).map(
  ([name, spec]) => ({ ...spec, name: name as PropertyName }),
)

const specsById = new Map<PropertyList, ReadonlyMap<number, NamedPropertySpec>>()
for (const spec of PROPERTY_SPECS) {
  for (const list of spec.packets) {
    const byId = new Map(specsById.get(list))
    specsById.set(list, byId.set(spec.id, spec))
  }
}

/** The property with this identifier, if the list may hold it. */
export function findProperty(list: PropertyList, id: number): NamedPropertySpec | undefined {
  return specsById.get(list)?.get(id)
}
