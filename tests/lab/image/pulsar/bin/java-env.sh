# Sourced by the scripts beside it: where Pulsar is, and the options every JVM of it gets.
# The variables are the official image's, so that a stack file works with either image.

PULSAR_HOME=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PULSAR_HOME
cd "$PULSAR_HOME" || exit 1

JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java

PULSAR_LOG_DIR=${PULSAR_LOG_DIR:-$PULSAR_HOME/logs}
PULSAR_LOG_LEVEL=${PULSAR_LOG_LEVEL:-info}
PULSAR_GC=${PULSAR_GC:--XX:+UseG1GC -XX:MaxGCPauseMillis=10 -XX:+ParallelRefProcEnabled -XX:+DisableExplicitGC}
PULSAR_EXTRA_OPTS=${PULSAR_EXTRA_OPTS:--Dpulsar.allocator.exit_on_oom=true}

java_opts=(
    -cp "$PULSAR_HOME/conf:$PULSAR_HOME/lib/*${PULSAR_EXTRA_CLASSPATH:+:$PULSAR_EXTRA_CLASSPATH}"
    -Dlog4j2.configurationFile=log4j2.properties
    -Dlog4j2.is.webapp=false
    "-Dpulsar.log.level=$PULSAR_LOG_LEVEL"
    -Djava.net.preferIPv4Stack=true
    -Djute.maxbuffer=10485760
    -Dio.netty.tryReflectionSetAccessible=true
    -Dbookkeeper.metadata.bookie.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataBookieDriver
    -Dbookkeeper.metadata.client.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataClientDriver
)
for package in java.io java.lang java.nio java.util.zip jdk.internal.misc sun.net; do
    java_opts+=(--add-opens "java.base/$package=ALL-UNNAMED")
done
java_opts+=(--add-opens java.management/sun.management=ALL-UNNAMED)

# gc_log NAME: a rotated garbage collection log for a server.
gc_log() {
    mkdir -p "$PULSAR_LOG_DIR"
    printf '%s' "-Xlog:gc*,safepoint:$PULSAR_LOG_DIR/$1_gc_%p.log:time,uptime,tags:filecount=10,filesize=20M"
}
