/** How the codec refuses: one error, with the reason code that the client is told. */
import { ReasonCode } from './constants.ts'

/**
 * A client broke the protocol: the connection must be closed [MQTT-4.8.0-1] [MQTT-4.13.1-1].
 *
 * `reason` is the MQTT 5 reason code for the DISCONNECT, or for the CONNACK when no CONNECT was accepted yet.
 * `detail` names the rule broken, with its clause: of the MQTT 5 specification, unless it says of 3.1.1. It never contains bytes the client sent.
 */
export class ProtocolViolation extends Error {
  readonly reason: number
  readonly detail: string

  constructor(reason: number, detail: string) {
    super(`MQTT violation 0x${reason.toString(16)}: ${detail}`)
    this.name = 'ProtocolViolation'
    this.reason = reason
    this.detail = detail
  }
}

/** Throws 0x81: the bytes cannot be parsed as the specification says. */
export function malformed(detail: string): never {
  throw new ProtocolViolation(ReasonCode.malformedPacket, detail)
}

/** Throws 0x82: the bytes can be parsed, but say something that is not allowed. */
export function protocolError(detail: string): never {
  throw new ProtocolViolation(ReasonCode.protocolError, detail)
}
