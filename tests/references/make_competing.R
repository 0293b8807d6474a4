# Writes competing.json, and data/mgus2.csv from R's survival: Fine-Gray models, multi-state
# Cox curves and Aalen-Johansen's standard errors.
# Run in this folder: Rscript make_competing.R   (R 4.2.2; Debian's r-cran-survival,
# r-cran-cmprsk, r-cran-jsonlite)
suppressMessages({library(survival); library(cmprsk); library(jsonlite)})
m <- mgus2
m$etime <- with(m, ifelse(pstat == 0, futime, ptime))
m$cause <- with(m, ifelse(pstat == 0, 2 * death, 1))
m$male <- as.numeric(m$sex == "M")
m <- m[!is.na(m$mspike), c("id", "age", "male", "mspike", "etime", "cause")]
# half of the rows enter late, at a time that is the same in each run
m$entry <- ifelse(m$id %% 2 == 0, floor(m$etime * (m$id %% 7) / 20), 0)
m$entry[m$entry >= m$etime] <- 0
m <- m[m$etime > 0, ]
write.csv(m, "data/mgus2.csv", row.names = FALSE, quote = FALSE)
m <- read.csv("data/mgus2.csv")
m$event <- factor(m$cause, 0:2, c("censored", "pcm", "death"))
x <- c("age", "male", "mspike")

describe <- function(fit, base = NULL) list(
  coef = unname(coef(fit)), naive = unname(if (is.null(fit$naive.var)) fit$var else fit$naive.var),
  robust = unname(fit$var), loglik = fit$loglik[2],
  baseline = if (is.null(base)) NULL else list(time = base$time, hazard = base$cumhaz))
fg <- function(data, ties, etype, start = FALSE, strata = FALSE) {
  y <- if (start) "Surv(entry, etime, event)" else "Surv(etime, event)"
  long <- finegray(as.formula(paste(y, "~ .", if (strata) "+ strata(male)")), data = data, etype = etype, id = id)
  if (strata) long$male <- data$male[match(long$id, data$id)]
  terms <- if (strata) "age + mspike + strata(male)" else "age + male + mspike"
  fit <- coxph(as.formula(paste("Surv(fgstart, fgstop, fgstatus) ~", terms)), data = long,
               weights = fgwt, ties = ties, cluster = id)
  base <- if (strata) NULL else survfit(fit, newdata = data.frame(age = 70, male = 1, mspike = 1))
  if (!is.null(base)) { keep <- base$n.event > 0
    base <- list(time = base$time[keep][c(TRUE, FALSE, FALSE)], cumhaz = base$cumhaz[keep][c(TRUE, FALSE, FALSE)]) }
  c(list(ties = ties, of = etype, entry = start, strata = strata, rows = nrow(long)), describe(fit, base))
}
fine_gray <- list(fg(m, "efron", "pcm"), fg(m, "breslow", "pcm"), fg(m, "efron", "death"),
                  fg(m, "efron", "pcm", start = TRUE), fg(m, "breslow", "death", start = TRUE),
                  fg(m, "efron", "pcm", strata = TRUE), fg(m, "efron", "death", strata = TRUE))
# crr has its own order of censorings and events at a tie: ranks have no ties
m$rank <- order(order(m$etime, m$cause == 0, m$id))
crr_fit <- function(k) { f <- crr(m$rank, m$cause, m[, x], failcode = k, gtol = 1e-10)
  p <- predict(f, cbind(70, 1, 1))
  at <- seq(1, nrow(p), by = 5)
  list(of = k, coef = unname(f$coef), var = unname(f$var), loglik = f$loglik, time = p[at, 1], incidence = p[at, 2]) }

# curves of a multi-state Cox model, as exponentials of the increments and as products
ms <- coxph(Surv(etime, event) ~ age + male + mspike, data = m, id = id, ties = "breslow")
new <- data.frame(age = c(60, 80), male = c(0, 1), mspike = c(0.5, 2.5))
curve <- function(stype) { s <- survfit(ms, newdata = new, stype = stype, ctype = 1)
  at <- seq(1, length(s$time), by = 12)
  list(time = s$time[at], states = s$states, row1 = unname(s$pstate[at, 1, ]), row2 = unname(s$pstate[at, 2, ])) }
none <- survfit(Surv(etime, event) ~ 1, data = m, id = id)
at <- seq(1, length(none$time), by = 12)
aj <- list(time = none$time[at], pstate = unname(none$pstate[at, ]), error = unname(none$std.err[at, ]))

write_json(list(versions = list(R = R.version.string, survival = as.character(packageVersion("survival")),
                                cmprsk = as.character(packageVersion("cmprsk"))),
                fine_gray = fine_gray, crr = list(crr_fit(1), crr_fit(2)),
                cause_specific = list(exponential = curve(2), product = curve(1)), aalen_johansen = aj,
                coef = unname(coef(ms))),
           "competing.json", digits = 12, auto_unbox = TRUE, na = "null")
