/** The worker processes of a server under test, as its metrics name them. */
import { readFileSync } from 'node:fs'
import { Device, type DeviceOptions } from '../harness/device.ts'
import type { TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const CONNECTIONS = 'wochat_worker_connections'

export async function workerPids(server: TestServer): Promise<number[]> {
  return [...(await connectionsByWorker(server)).keys()]
}

/** Open sockets by the pid of the worker. */
export async function connectionsByWorker(server: TestServer): Promise<Map<number, number>> {
  const metrics = await server.metrics()
  return new Map(metrics.find(CONNECTIONS).map(({ labels, value }) => [Number(labels.get('pid')), value]))
}

/** Connects, and says which worker has the connection. */
export async function connectKnown(
  server: TestServer,
  uid: string,
  deviceId: string,
  options: DeviceOptions = {},
): Promise<{ device: Device; pid: number }> {
  return until(async () => {
    const before = await connectionsByWorker(server)
    const device = await Device.connect(server, uid, deviceId, options)
    const after = await connectionsByWorker(server)
    const changed = [...after].filter(([pid, connections]) => connections !== before.get(pid))
    const [pid, connections] = changed[0] ?? [0, 0]
    if (changed.length === 1 && connections === (before.get(pid) ?? 0) + 1) return { device, pid }
    // Connections of an earlier test were still being closed.
    device.cut()
    return null
  }, 'a connection whose worker is known')
}

/** A device each, on two different workers. */
export async function connectApart(
  server: TestServer,
  one: string,
  two: string,
  options: DeviceOptions = {},
): Promise<[Device, Device]> {
  const first = await connectKnown(server, one, 'one', options)
  const second = await until(async () => {
    const { device, pid } = await connectKnown(server, two, 'two', options)
    if (pid !== first.pid) return device
    device.cut()
    return null
  }, 'a connection to the other worker')
  return [first.device, second]
}

/** False also for a process that has ended and was not waited for yet. */
export function isAlive(pid: number): boolean {
  try {
    // The state follows the name, which is in brackets (proc(5)).
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
