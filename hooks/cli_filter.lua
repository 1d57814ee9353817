-- cli_filter.lua of Slurm (CliFilterPlugins=lua): tell at submission that a project cannot pay for the job.
--
-- An example, for sites whose users may read the books. It runs in sbatch, salloc and srun, as the user, before anything
-- reaches slurmctld; a user can go round it, so it is a service and no lock: the lock is the prolog. It asks only where
-- --account and --time are given, and stays silent when dca cannot answer.

local DCA = "timeout 5 dca"
local YEAR = 366 * 86400 -- what Slurm shows for a limit that was not given is far beyond

local function seconds_of(time)
  local days, rest = string.match(time or "", "^(%d+)%-(.+)$")
  local hours, minutes, seconds = string.match(rest or time or "", "^(%d+):(%d+):(%d+)$")
  if not hours then
    return nil
  end
  return (tonumber(days or 0) * 24 + tonumber(hours)) * 3600 + tonumber(minutes) * 60 + tonumber(seconds)
end

local function count_of(text)
  local count = tonumber(string.match(text or "", "^%d+"))
  return count and count > 0 and count or 1
end

local function quoted(text)
  return "'" .. string.gsub(text, "'", "'\\''") .. "'"
end

function slurm_cli_setup_defaults(options, early_pass)
  return slurm.SUCCESS
end

function slurm_cli_pre_submit(options, offset)
  local seconds = seconds_of(options["time"])
  local account = options["account"]
  if not account or not seconds or seconds > YEAR or (os.getenv("SLURM_JOB_ID") and options["type"] == "srun") then
    return slurm.SUCCESS -- a step of a running job asks for nothing new
  end
  local cores = count_of(options["ntasks"]) * count_of(options["cpus-per-task"])
  local command = string.format(
    "%s project show --mini %s --needs=%d --cores=%d 2>/dev/null",
    DCA, quoted("--project=" .. account), seconds, cores
  )
  local pipe = io.popen(command)
  local answer = pipe and pipe:read("*a") or ""
  if pipe then
    pipe:close()
  end
  local sentence = string.match(answer, '"status": ?"failed".-"error": ?"(.-[^\\])",')
  if sentence and string.find(answer, '"code": ?"refused"') then
    slurm.log_error("dca: %s", sentence)
    return slurm.ERROR
  end
  return slurm.SUCCESS
end

function slurm_cli_post_submit(offset, job_id, step_id)
  return slurm.SUCCESS
end
