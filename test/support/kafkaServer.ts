/**
 * One node of Apache Kafka (KRaft), whose jars Maven brings, run by Java: for tests
 * and benchmarks.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep } from "../../src/clock.ts";
import { freePort } from "../../src/http/listen.ts";
import { connectKafka, type Kafka } from "../../src/stores/kafka/connect.ts";

const VERSION = "3.9.1";
/** Kept between runs: the jars are 46 MB and do not change. */
const LIBRARY = join(tmpdir(), `feedkeeper-kafka-${VERSION}`);

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>feedkeeper</groupId><artifactId>test-broker</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version></dependency>
  </dependencies>
</project>
`;

export interface BrokerServer {
  /** `host:port`. */
  readonly address: string;
  stop(): Promise<void>;
  /** Again on the same port, with what it held. */
  start(): Promise<void>;
  /** Ends it, and removes what it held. */
  leave(): Promise<void>;
}

export async function startBrokerServer(): Promise<BrokerServer> {
  await ensureJars();
  const directory = mkdtempSync(join(tmpdir(), "feedkeeper-test-kafka-"));
  const port = await freePort("127.0.0.1");
  const controllerPort = await freePort("127.0.0.1");
  const settings = join(directory, "server.properties");
  writeFileSync(settings, propertiesOf(directory, port, controllerPort));
  await java("kafka.tools.StorageTool", [
    "format",
    "--cluster-id",
    "Zm9yLXRlc3RzLW9ubHktMQ",
    "--config",
    settings,
  ]).exited;
  const address = `127.0.0.1:${port}`;
  let child = java("kafka.Kafka", [settings]);
  await untilAnswering(address);

  const stop = async () => {
    child.kill();
    await child.exited;
  };
  return {
    address,
    stop,
    async start() {
      child = java("kafka.Kafka", [settings]);
      await untilAnswering(address);
    },
    async leave() {
      await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function java(main: string, words: readonly string[]) {
  return Bun.spawn(
    ["java", "-Xmx384m", "-cp", join(LIBRARY, "*"), main, ...words],
    { stdio: ["ignore", "ignore", "ignore"] },
  );
}

async function ensureJars(): Promise<void> {
  if (existsSync(LIBRARY)) return;
  for (const program of ["java", "mvn"])
    if (Bun.which(program) === null)
      throw new Error(
        `${program} is not installed: the tests of Kafka need Java 17 and Maven`,
      );
  const place = mkdtempSync(join(tmpdir(), "feedkeeper-kafka-jars-"));
  writeFileSync(join(place, "pom.xml"), POM);
  mkdirSync(join(place, "libs"));
  const child = Bun.spawn(
    [
      "mvn",
      "--batch-mode",
      "--quiet",
      "dependency:copy-dependencies",
      `-DoutputDirectory=${join(place, "libs")}`,
    ],
    { cwd: place, stdio: ["ignore", "inherit", "inherit"] },
  );
  if ((await child.exited) !== 0)
    throw new Error("Maven could not bring Kafka's jars");
  // Whole or not at all: another test run may be doing the same.
  if (!existsSync(LIBRARY)) renameSync(join(place, "libs"), LIBRARY);
  rmSync(place, { recursive: true, force: true });
}

/** A client as the service's own. */
export function kafkaClient(address: string): Kafka {
  return connectKafka(
    { brokers: [address], ssl: false, layout: "per-symbol" },
    "test",
  );
}

async function untilAnswering(address: string): Promise<void> {
  const kafka = kafkaClient(address);
  for (let tries = 0; ; tries++) {
    const admin = kafka.admin();
    try {
      await admin.connect();
      await admin.describeCluster();
      await admin.disconnect();
      return;
    } catch (error) {
      await admin.disconnect().catch(() => {});
      if (tries > 150) throw error;
      await sleep(200);
    }
  }
}

function propertiesOf(
  directory: string,
  port: number,
  controllerPort: number,
): string {
  return [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
    "controller.listener.names=CONTROLLER",
    `log.dirs=${join(directory, "data")}`,
    "offsets.topic.replication.factor=1",
    "offsets.topic.num.partitions=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "transaction.state.log.num.partitions=1",
    "group.initial.rebalance.delay.ms=0",
    "auto.create.topics.enable=false",
    // Everybody may everything until a test takes a right away.
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found=true",
    "",
  ].join("\n");
}
