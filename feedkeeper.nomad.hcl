# feedkeeper on Nomad. Secrets are Nomad variables under nomad/jobs/feedkeeper:
#
#   nomad var put nomad/jobs/feedkeeper \
#     postgres_url=postgres://… api_token=… destinations=@destinations.json
#
# Replicas are safe (count = 2): each account is run by the holder of its lease,
# and the others take over when it lapses.

variable "image" {
  type    = string
  default = "feedkeeper:0.1.0"
}

job "feedkeeper" {
  type = "service"

  group "feedkeeper" {
    count = 1

    network {
      port "http" {
        to = 8000
      }
    }

    # The spool: what a store has not taken yet follows the job to its next place.
    ephemeral_disk {
      size    = 1024
      sticky  = true
      migrate = true
    }

    restart {
      attempts = 5
      interval = "5m"
      delay    = "5s"
      mode     = "delay"
    }

    update {
      max_parallel     = 1
      health_check     = "checks"
      min_healthy_time = "10s"
      healthy_deadline = "3m"
      auto_revert      = true
    }

    service {
      name     = "feedkeeper"
      port     = "http"
      provider = "nomad"

      # Decides who gets traffic and whether a deployment is good.
      check {
        name     = "ready"
        type     = "http"
        path     = "/health/ready"
        interval = "10s"
        timeout  = "3s"
      }

      # Only a process that does not answer is restarted: a database that is away
      # is no reason, because then the spool is filled.
      check {
        name     = "live"
        type     = "http"
        path     = "/health/live"
        interval = "10s"
        timeout  = "3s"

        check_restart {
          limit = 3
          grace = "60s"
        }
      }
    }

    task "feedkeeper" {
      driver = "docker"

      # The drain may take 10 s; nobody may be killed in it.
      kill_signal  = "SIGTERM"
      kill_timeout = "20s"

      config {
        image = var.image
        ports = ["http"]
      }

      env {
        FEEDKEEPER_DIR                   = "${NOMAD_ALLOC_DIR}/data/feedkeeper"
        POSTGRESQL_LIVE_CONN_STRING_FILE = "${NOMAD_SECRETS_DIR}/postgres_url"
        API_TOKEN_FILE                   = "${NOMAD_SECRETS_DIR}/api_token"
        DESTINATIONS_FILE                = "${NOMAD_SECRETS_DIR}/destinations.json"
      }

      template {
        destination = "secrets/postgres_url"
        data        = "{{ with nomadVar \"nomad/jobs/feedkeeper\" }}{{ .postgres_url }}{{ end }}"
      }

      template {
        destination = "secrets/api_token"
        data        = "{{ with nomadVar \"nomad/jobs/feedkeeper\" }}{{ .api_token }}{{ end }}"
      }

      # SIGHUP: accounts and keys are read again, nothing else is touched.
      template {
        destination   = "secrets/destinations.json"
        data          = "{{ with nomadVar \"nomad/jobs/feedkeeper\" }}{{ .destinations }}{{ end }}"
        change_mode   = "signal"
        change_signal = "SIGHUP"
      }

      resources {
        cpu    = 500
        memory = 512
      }
    }
  }
}
