/**
 * Runs the promises of plain topics over a cluster of two brokers and prints the table of
 * docs/adr/0006-plain-topics-in-a-cluster.md. Needs `redis-server`. Each run has a cluster of its own.
 *
 *     npx node test/redis-parts/run.ts
 */
import { startAedesCluster } from './cluster.ts'
import { PROMISES } from './promises.ts'

const STARTS = [startAedesCluster]

for (const start of STARTS) {
  for (const [promise, run] of Object.entries(PROMISES)) {
    await using cluster = await start()
    const outcome = await run(cluster).catch((error: unknown) => `the run ended: ${(error as Error).message}`)
    process.stdout.write(`| ${cluster.name} | ${promise} | ${outcome} |\n`)
  }
}
// What is left of clients that were cut must not hold the process.
process.exit(0)
