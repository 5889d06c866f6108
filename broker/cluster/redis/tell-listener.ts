/** Which words of another node are for the listener, and which for the bus itself. */
import type { BusListener, NodeId } from '../bus.ts'
import type { Frame } from '../frame.ts'

/** Tells the listener what a node said; false for what is the bus's own business. */
export function tellListener(listener: BusListener, frame: Frame, sender: NodeId): boolean {
  switch (frame.kind) {
    case 'entry':
      listener.entryCommitted(frame)
      return true
    case 'grew':
      listener.logGrew(frame.log, frame.epoch, frame.head)
      return true
    case 'joined':
      listener.memberJoined(frame.log, frame.uid, frame.fromSeq)
      return true
    case 'left':
      listener.memberLeft(frame.log, frame.uid, frame.toSeq)
      return true
    case 'read':
      listener.readMoved(frame.uid, frame.log, frame.seq)
      return true
    case 'changed':
      listener.stateChanged(frame.uid, frame.scope, frame.version)
      return true
    case 'loginEnded':
      listener.loginEnded(frame.uid, frame.device, frame.sid)
      return true
    case 'plain':
      listener.plainReceived(frame.bytes)
      return true
    case 'signal':
      listener.signalReceived(frame.bytes)
      return true
    case 'presence':
      listener.presenceChanged(frame.uid, { node: sender, ...frame.part })
      return true
    default:
      return false
  }
}
