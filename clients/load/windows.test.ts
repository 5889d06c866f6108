import { expect, test } from 'vitest'
import { Windows } from './windows.ts'

function filled(options: { receivers: number; ackCredit?: boolean }): Windows {
  const windows = new Windows({ publishers: 1, size: 2, ackCredit: false, ...options })
  windows.send(0, 1)
  windows.send(0, 2)
  return windows
}

test('a full window has no room', () => {
  expect(filled({ receivers: 1 }).hasRoom(0)).toBe(false)
})

test('a message leaves the window only when acknowledged and delivered to every receiver', () => {
  const windows = filled({ receivers: 2 })
  windows.deliver(0, 1)
  windows.deliver(0, 1)
  expect(windows.hasRoom(0)).toBe(false)
  windows.acknowledge(0)
  expect(windows.hasRoom(0)).toBe(true)
})

test('an acknowledged message that one receiver has not got stays in the window', () => {
  const windows = filled({ receivers: 2 })
  windows.acknowledge(0)
  windows.deliver(0, 1)
  expect(windows.hasRoom(0)).toBe(false)
})

test('with credit by acknowledgement a PUBACK is enough', () => {
  const windows = filled({ receivers: 2, ackCredit: true })
  windows.acknowledge(0)
  expect(windows.hasRoom(0)).toBe(true)
})

test('without receivers a PUBACK is enough', () => {
  const windows = filled({ receivers: 0 })
  windows.acknowledge(0)
  expect(windows.hasRoom(0)).toBe(true)
})

test('a message delivered long after its place was given away changes nothing', () => {
  const windows = filled({ receivers: 1 })
  windows.acknowledge(0)
  windows.deliver(0, 2)
  windows.send(0, 3)
  windows.deliver(0, 1)
  expect([windows.sentUsOf(0, 1), windows.sentUsOf(0, 3), windows.hasRoom(0)]).toEqual([-1, 3, false])
})
