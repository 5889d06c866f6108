/**
 * CONNECT, step by step: admission, form, token, will, session, takeover, CONNACK. The first step that refuses ends it.
 */
import { asWochatError, type ErrorCode, WochatError } from '../../protocol/errors.ts'
import {
  buildClientId,
  type ClientId,
  type DeviceId,
  parseClientId,
  type UserId,
} from '../../protocol/ids.ts'
import type { VerifiedToken } from '../../services/auth/token.ts'
import type { OpenedSession } from '../../services/store/contract.ts'
import type { DeviceClaim } from '../cluster/bus.ts'
import { InboxSession } from '../inbox/inbox-session.ts'
import { ConnackCode311, type ProtocolVersion, ReasonCode } from './codec/constants.ts'
import { type ConnectPacket, decodeConnect, peekConnectVersion } from './codec/decode.ts'
import { encodeConnack } from './codec/encode.ts'
import type { Framer } from './codec/framer.ts'
import type { ConnackProperties } from './codec/properties.ts'
import type { ProtocolViolation } from './codec/violation.ts'
import type { Connection } from './connection.ts'
import type { Identity } from './identity.ts'
import { PlainSide } from './plain.ts'
import { TOPIC_ALIAS_MAX } from './publish-side.ts'
import { type Acl, mayPublish, OPEN_ACL } from './topic-rights.ts'

const RECEIVE_MAXIMUM_DEFAULT = 65_535
const PACKET_BYTES_UNLIMITED = 0x1000_0005

/** How a CONNECT is refused: the return code of 3.1.1 and the reason of 5. */
type Refusal = { v311: number; v5: number; code: ErrorCode }

const REFUSALS = {
  badClientId: {
    v311: ConnackCode311.identifierRejected,
    v5: ReasonCode.clientIdentifierNotValid,
    code: 'bad_request',
  },
  badToken: {
    v311: ConnackCode311.badUserNameOrPassword,
    v5: ReasonCode.badUserNameOrPassword,
    code: 'unauthenticated',
  },
  notAllowed: { v311: ConnackCode311.notAuthorized, v5: ReasonCode.notAuthorized, code: 'forbidden' },
  revoked: { v311: ConnackCode311.notAuthorized, v5: ReasonCode.notAuthorized, code: 'revoked' },
  suspended: { v311: ConnackCode311.notAuthorized, v5: ReasonCode.banned, code: 'account_suspended' },
  tooManyDevices: {
    v311: ConnackCode311.notAuthorized,
    v5: ReasonCode.quotaExceeded,
    code: 'too_many_devices',
  },
  tooFast: {
    v311: ConnackCode311.serverUnavailable,
    v5: ReasonCode.connectionRateExceeded,
    code: 'rate_limited',
  },
  busy: { v311: ConnackCode311.serverUnavailable, v5: ReasonCode.serverUnavailable, code: 'busy' },
  draining: {
    v311: ConnackCode311.serverUnavailable,
    v5: ReasonCode.useAnotherServer,
    code: 'shutting_down',
  },
  badMethod: {
    v311: ConnackCode311.notAuthorized,
    v5: ReasonCode.badAuthenticationMethod,
    code: 'unauthenticated',
  },
} as const satisfies Record<string, Refusal>

class ConnectRefused extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.code)
    this.refusal = refusal
  }
}

/** Runs the CONNECT in `buffer[start, end)`; the connection is open, or refused and closed, when it resolves. */
export async function openConnection(
  connection: Connection,
  framer: Framer,
  buffer: Buffer,
  start: number,
  end: number,
): Promise<void> {
  let packet: ConnectPacket
  try {
    packet = decodeConnect(buffer, start, end)
    framer.setVersion(packet.version)
  } catch (error) {
    connection.state = 'new'
    refuseMalformedConnect(connection, error as ProtocolViolation, peekConnectVersion(buffer, start, end))
    connection.close()
    return
  }
  try {
    const identity = await identify(connection, packet)
    if (identity !== null) connection.opened()
  } catch (error) {
    refuse(connection, packet.version, asRefusal(connection, error))
  }
}

async function identify(connection: Connection, packet: ConnectPacket): Promise<Identity | null> {
  const { services, transport } = connection
  if (services.admission.isDraining) throw new ConnectRefused(REFUSALS.draining)
  if (!services.admission.connect(transport.remoteAddress)) throw new ConnectRefused(REFUSALS.tooFast)
  if (packet.properties.authenticationMethod !== undefined) throw new ConnectRefused(REFUSALS.badMethod)
  if (services.openPlain && packet.password === undefined) return identifyOpen(connection, packet)

  const ids = parseClientId(packet.clientId)
  if (ids === undefined) throw new ConnectRefused(REFUSALS.badClientId)
  if (packet.password === undefined) throw new ConnectRefused(REFUSALS.badToken)
  const token = await services.verifier.verify(packet.password.toString())
  if (token.uid !== ids.uid || packet.username !== ids.uid) throw new ConnectRefused(REFUSALS.notAllowed)
  if (token.device !== null && token.device !== ids.deviceId) throw new ConnectRefused(REFUSALS.notAllowed)
  assertWillAllowed(connection, packet, token)

  const clientId = buildClientId(ids.uid, ids.deviceId)
  const terms = sessionTerms(connection, packet)
  await closeEarlier(connection, clientId, token, ids.deviceId)
  if (connection.state !== 'opening') return null
  const { endings } = services.registry
  const opened = await services.store.openSession({
    clientId,
    uid: ids.uid,
    device: ids.deviceId,
    sid: token.sid,
    issuedAt: token.issuedAt,
    cleanStart: packet.cleanStart,
    persistent: terms.sessionExpirySeconds > 0,
    devicesMax: services.limits.devicesPerAccountMax,
  })
  const claim = deviceClaim(clientId, ids.uid, ids.deviceId, opened)
  const route = await services.bus.claim(claim)
  if (route === 'lost' || connection.state !== 'opening' || !winsOver(connection, clientId, opened)) {
    await abandon(connection, claim, terms.sessionExpirySeconds)
    return null
  }
  // The session was opened before its login ended, and registered after.
  if (services.registry.endedSince(endings, ids.uid, ids.deviceId, token.sid)) {
    throw new ConnectRefused(REFUSALS.revoked)
  }
  const session = inboxSession(connection, clientId, ids.uid, ids.deviceId, opened)
  const identity = {
    version: packet.version,
    clientId,
    uid: ids.uid,
    device: ids.deviceId,
    token,
    claim,
    acl: token.acl,
    session,
    subscriptions: opened.subscriptions,
    ...terms,
  }
  return join(connection, packet, identity, opened.present, opened.plain)
}

/** The test profile for MQTT suites: no user, no chat topics. */
function identifyOpen(connection: Connection, packet: ConnectPacket): Promise<Identity | null> {
  const clientId = packet.clientId === '' ? `open-${Math.random().toString(36).slice(2)}` : packet.clientId
  connection.services.registry.find(clientId)?.disconnect(ReasonCode.sessionTakenOver)
  const uid = '' as UserId
  const device = '' as DeviceId
  const identity = {
    version: packet.version,
    clientId,
    uid,
    device,
    token: null,
    claim: null,
    acl: OPEN_ACL,
    session: new InboxSession(connection.services.inbox, uid, device, null, 0),
    subscriptions: { inbox: null, reply: false, live: false },
    ...sessionTerms(connection, packet),
  }
  return join(connection, packet, identity, 'ask the engine', true)
}

/** Registers the connection, opens the plain side where it is needed at once, and answers the CONNECT. */
async function join(
  connection: Connection,
  packet: ConnectPacket,
  identity: Omit<Identity, 'plain'>,
  present: boolean | 'ask the engine',
  attach: boolean,
): Promise<Identity | null> {
  const { services } = connection
  services.registry.add(connection, identity.clientId, identity.token === null ? null : identity.uid)
  const plain = new PlainSide({
    engine: services.engine,
    connection,
    clientId: identity.clientId,
    version: packet.version,
    // Without anything stored, what the engine may still hold of an earlier session has ended with that.
    cleanStart: packet.cleanStart || !attach,
    sessionExpirySeconds: identity.sessionExpirySeconds,
    will: packet.will,
    uid: identity.token === null ? null : identity.uid,
    clientPacketBytesMax: identity.clientPacketBytesMax,
  })
  const sessionPresent =
    present === 'ask the engine'
      ? !packet.cleanStart && services.engine.hasSession(identity.clientId)
      : present
  const properties =
    packet.version === 5 ? { properties: connackProperties(connection, packet, identity) } : {}
  const complete: Identity = { ...identity, plain }
  connection.opening(complete)
  // A will is on disk before the CONNACK says that it is kept.
  if (attach || packet.will !== undefined) await plain.attach()
  if (connection.state !== 'opening') return null
  connection.outbox.raw(encodeConnack({ version: packet.version, sessionPresent, code: 0, ...properties }))
  return complete
}

type Terms = Pick<
  Identity,
  'keepAliveSeconds' | 'receiveMaximum' | 'clientPacketBytesMax' | 'sessionExpirySeconds'
>

function sessionTerms({ services: { limits } }: Connection, packet: ConnectPacket): Terms {
  const { version, properties, cleanStart, keepAliveSeconds } = packet
  // On 3.1.1 a session without Clean Session lasts as long as the server keeps any.
  const asked =
    version === 5 ? (properties.sessionExpiryInterval ?? 0) : cleanStart ? 0 : Number.POSITIVE_INFINITY
  const keepAliveMax = limits.keepAliveSecondsMax
  // Only MQTT 5 lets the server set another keep alive [MQTT-3.1.2-21].
  const isOverruled = version === 5 && (keepAliveSeconds === 0 || keepAliveSeconds > keepAliveMax)
  return {
    keepAliveSeconds: isOverruled ? keepAliveMax : keepAliveSeconds,
    receiveMaximum: properties.receiveMaximum ?? RECEIVE_MAXIMUM_DEFAULT,
    clientPacketBytesMax: properties.maximumPacketSize ?? PACKET_BYTES_UNLIMITED,
    sessionExpirySeconds: Math.min(asked, limits.sessionExpirySecondsMax),
  }
}

function connackProperties(
  connection: Connection,
  packet: ConnectPacket,
  identity: Terms & { uid: UserId },
): ConnackProperties {
  const { limits } = connection.services
  const asked = packet.properties.sessionExpiryInterval ?? 0
  return {
    receiveMaximum: limits.sendsWaitingMax,
    maximumPacketSize: limits.packetBytesMax,
    topicAliasMaximum: TOPIC_ALIAS_MAX,
    subscriptionIdentifierAvailable: false,
    sharedSubscriptionAvailable: false,
    ...(asked !== identity.sessionExpirySeconds && { sessionExpiryInterval: identity.sessionExpirySeconds }),
    ...(packet.keepAliveSeconds !== identity.keepAliveSeconds && {
      serverKeepAlive: identity.keepAliveSeconds,
    }),
    ...(packet.properties.requestResponseInformation === true && {
      responseInformation: `u/${identity.uid}/reply/`,
    }),
  }
}

function assertWillAllowed({ services }: Connection, { will }: ConnectPacket, token: VerifiedToken): void {
  if (will === undefined) return
  const acl: Acl = token.acl
  if (!mayPublish(token.uid, acl, will.topic) || will.payload.length > services.limits.payloadBytesMax) {
    throw new ConnectRefused(REFUSALS.notAllowed)
  }
}

// ---------------------------------------------------------------- takeover

/**
 * The same device connects again: the old connection is closed first, and its cursors are written, so that the new
 * one goes on exactly where it was. Whoever does not hold a valid login cannot close anything.
 */
async function closeEarlier(
  { services }: Connection,
  clientId: ClientId,
  { uid, sid, issuedAt }: VerifiedToken,
  device: DeviceId,
): Promise<void> {
  const { registry, bus, store, metrics } = services
  const devices = await bus.devicesOf(uid)
  // Its cursors may still be on their way; the session goes on where it stopped.
  await registry.untilLeft(clientId)
  const isElsewhere = devices.some((holder) => holder.device === device && holder.node !== bus.node)
  if (!isElsewhere && registry.find(clientId) === undefined) return
  await store.checkLogin({ uid, device, sid, issuedAt })
  if (isElsewhere) {
    metrics.takeovers++
    await bus.closeElsewhere(clientId)
  }
  for (;;) {
    const earlier = registry.find(clientId)
    if (earlier === undefined) return
    metrics.takeovers++
    earlier.disconnect(ReasonCode.sessionTakenOver)
    await earlier.left
  }
}

/** Two CONNECTs of one device raced: the one that the store served last has the session. */
function winsOver({ services }: Connection, clientId: ClientId, opened: OpenedSession): boolean {
  const other = services.registry.find(clientId)
  if (other === undefined) return true
  if (
    other.identity.session.number === opened.session &&
    other.identity.session.generation > opened.generation
  ) {
    return false
  }
  services.metrics.takeovers++
  other.disconnect(ReasonCode.sessionTakenOver)
  return true
}

/** The socket closed while the session was opened, or another connection has it: leave it as a disconnect would. */
async function abandon(connection: Connection, claim: DeviceClaim, expirySeconds: number): Promise<void> {
  const { bus, store } = connection.services
  connection.destroy()
  bus.release(claim)
  const { clientId, session, generation } = claim
  if (session === null) return
  const expiresAt = expirySeconds === 0 ? null : Date.now() + expirySeconds * 1000
  await store.closeSession({ clientId, session, generation, expiresAt })
}

function deviceClaim(clientId: ClientId, uid: UserId, device: DeviceId, opened: OpenedSession): DeviceClaim {
  const { session, generation } = opened
  return { clientId, uid, device, session, generation, order: 0 }
}

function inboxSession(
  { services }: Connection,
  clientId: ClientId,
  uid: UserId,
  device: DeviceId,
  opened: OpenedSession,
): InboxSession {
  const detached = services.registry.reattach(clientId)
  // Another node may have served the session since: then its packet ids are no longer these.
  const isNext = detached?.number === opened.session && detached.generation + 1 === opened.generation
  if (detached === undefined || detached.number === null || !isNext) {
    return new InboxSession(services.inbox, uid, device, opened.session, opened.generation)
  }
  detached.generation = opened.generation
  return detached
}

// ---------------------------------------------------------------- refusals

function asRefusal({ services }: Connection, error: unknown): Refusal {
  if (error instanceof ConnectRefused) return error.refusal
  const { code, cause } = error instanceof WochatError ? error : asWochatError(error)
  if (code === 'unauthenticated') return REFUSALS.badToken
  if (code === 'revoked') return REFUSALS.revoked
  if (code === 'account_suspended') return REFUSALS.suspended
  if (code === 'too_many_devices') return REFUSALS.tooManyDevices
  if (code === 'internal') services.log.error({ err: cause ?? error }, 'a CONNECT failed')
  return REFUSALS.busy
}

function refuse(connection: Connection, version: ProtocolVersion, { v311, v5, code }: Refusal): void {
  if (connection.state !== 'opening') return
  connection.services.metrics.refused(code)
  const properties = version === 5 ? { properties: { reasonString: code } } : {}
  connection.outbox.raw(
    encodeConnack({ version, sessionPresent: false, code: version === 5 ? v5 : v311, ...properties }),
  )
  connection.close()
}

/** A CONNECT that broke the protocol: 3.1.1 has words only for a wrong version and a wrong client id (section 3.2.2.3). */
function refuseMalformedConnect(
  connection: Connection,
  violation: ProtocolViolation,
  version?: ProtocolVersion,
): void {
  connection.services.metrics.violated(violation.reason)
  if (version === 5) {
    connection.outbox.raw(encodeConnack({ version, sessionPresent: false, code: violation.reason }))
  } else if (violation.reason === ReasonCode.unsupportedProtocolVersion) {
    connection.outbox.raw(
      encodeConnack({ version: 4, sessionPresent: false, code: ConnackCode311.unacceptableProtocolVersion }),
    )
  } else if (violation.reason === ReasonCode.clientIdentifierNotValid) {
    connection.outbox.raw(
      encodeConnack({ version: 4, sessionPresent: false, code: ConnackCode311.identifierRejected }),
    )
  }
}
