/** Who is on a connection, and on what terms. */
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import type { VerifiedToken } from '../../services/auth/token.ts'
import type { SessionSubscriptions } from '../../services/store/contract.ts'
import type { DeviceClaim } from '../cluster/bus.ts'
import type { InboxSession } from '../inbox/inbox-session.ts'
import type { ProtocolVersion } from './codec/constants.ts'
import type { PlainSide } from './plain.ts'
import type { Acl } from './topic-rights.ts'

/** What a CONNECT settled; all of it is known before the connection is `open`. */
export type Identity = {
  version: ProtocolVersion
  clientId: string
  uid: UserId
  device: DeviceId
  /** Null in the open profile. */
  token: VerifiedToken | null
  /** What the bus knows of this connection; null in the open profile. */
  claim: DeviceClaim | null
  acl: Acl
  session: InboxSession
  subscriptions: SessionSubscriptions
  plain: PlainSide
  keepAliveSeconds: number
  /** Unacknowledged packets that the client takes at a time. */
  receiveMaximum: number
  /** Whole packet that the client takes. */
  clientPacketBytesMax: number
  sessionExpirySeconds: number
}
