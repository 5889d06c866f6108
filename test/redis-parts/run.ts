/**
 * Runs the promises of plain topics over a cluster of two brokers and prints the table of
 * docs/adr/0006-plain-topics-in-a-cluster.md. Needs PostgreSQL and Redis. Each run has a cluster of its own.
 *
 *     npx node test/redis-parts/run.ts [aedes] [wochat]
 */
import { type Cluster, startAedesCluster, startWochatCluster } from './cluster.ts'
import { PROMISES } from './promises.ts'

const STARTS: Record<string, () => Promise<Cluster>> = {
  aedes: startAedesCluster,
  wochat: startWochatCluster,
}
const wanted = process.argv.slice(2)

// The servers of the harness keep no process alive, not even while their end is awaited.
setInterval(() => {}, 60_000)
for (const [name, start] of Object.entries(STARTS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  for (const [promise, run] of Object.entries(PROMISES)) {
    await using cluster = await start()
    const outcome = await run(cluster).catch((error: unknown) => `the run ended: ${(error as Error).message}`)
    process.stdout.write(`| ${cluster.name} | ${promise} | ${outcome} |\n`)
  }
}
// What is left of clients that were cut must not hold the process.
process.exit(0)
