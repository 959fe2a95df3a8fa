/** Another process that simulates the same with the same seed. */
import { simulate } from 'quadrille/simulate'
import { shop, shopOptions } from './shop.ts'

const report = await simulate(shop(), {
  ...shopOptions(),
  budget: '10m',
  schedules: 40,
  maxFaults: 0,
  seed: 1,
  faults: ['duplicate', 'answer lost'],
})
console.log(report.traceHash)
