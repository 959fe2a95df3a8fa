/** Apache Kafka, one node that is broker and controller (KRaft). */
import { execFile } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { classPath, missingForJava } from './maven.ts'
import { find, type BrokerKind, type Place } from './process.ts'
import { freePort } from './tcp.ts'

const version = '4.4.0'
const clusterId = 'QuadrilleLocalNode0001'

export const kafka: BrokerKind = {
  name: 'kafka',
  usualPort: 19_092,
  missing: missingForJava,
  url: (port) => `127.0.0.1:${port}`,
  async prepare(place) {
    const jars = await classPath('kafka', [
      `org.apache.kafka:kafka_2.13:${version}`,
      `org.apache.kafka:kafka-server:${version}`,
      'org.slf4j:slf4j-simple:1.7.36',
    ])
    const config = join(place.folder, 'server.properties')
    writeFileSync(config, (await properties(place)).join('\n'))
    const java = find('java')!
    const common = ['-cp', jars, '-Dorg.slf4j.simpleLogger.logFile=System.out']
    if (!existsSync(join(place.folder, 'data', 'meta.properties'))) {
      const format = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', config, ...(place.format ?? [])]
      await promisify(execFile)(java, [...common, '-Xmx128m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', ...format])
    }
    return {
      command: java,
      args: [...common, '-Xms128m', '-Xmx512m', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', 'kafka.Kafka', config],
      readyText: /Kafka Server started/,
      mark: config,
    }
  },
}

/** Small and quick: few threads, few internal partitions, no wait before the first rebalance. */
async function properties({ folder, port, advertisedPort, settings }: Place): Promise<readonly string[]> {
  const controller = await freePort()
  return [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@127.0.0.1:${controller}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${advertisedPort}`,
    'controller.listener.names=CONTROLLER',
    'inter.broker.listener.name=PLAINTEXT',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    `log.dirs=${join(folder, 'data')}`,
    'num.partitions=3',
    'offsets.topic.replication.factor=1',
    'offsets.topic.num.partitions=4',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    'transaction.state.log.num.partitions=4',
    'share.coordinator.state.topic.replication.factor=1',
    'share.coordinator.state.topic.min.isr=1',
    'share.coordinator.state.topic.num.partitions=4',
    'group.initial.rebalance.delay.ms=0',
    // After a kill, the controller takes the broker back only when its old session is over.
    'broker.session.timeout.ms=3000',
    'broker.heartbeat.interval.ms=500',
    'num.network.threads=2',
    'num.io.threads=4',
    'background.threads=4',
    'num.recovery.threads.per.data.dir=1',
    'log.cleaner.dedupe.buffer.size=16777216',
    ...settings,
    '',
  ]
}
