# Writes inference.json: what mgcv, mice, multcomp and sandwich say of tables in ../../references/data.
# Run in this folder: Rscript make_reference.R   (R 4.2.2; Debian's r-base-core, r-cran-mgcv,
# r-cran-mice, r-cran-multcomp, r-cran-sandwich, r-cran-jsonlite)
suppressMessages({library(mgcv); library(mice); library(multcomp); library(sandwich); library(jsonlite)})
table <- function(name) read.csv(file.path("..", "..", "references", "data", paste0(name, ".csv")), stringsAsFactors = TRUE)
# mgcv's default stops early: ask for the optimum itself.
tight <- gam.control(epsilon = 1e-12, newton = list(conv.tol = 1e-11, maxNstep = 5, maxSstep = 2, maxHalf = 30, use.svd = FALSE))
random <- function(model) {
  t <- summary(model, re.test = TRUE)$s.table
  list(edf = unname(t[, 1]), ref_df = unname(t[, 2]), statistic = unname(t[, 3]), p_value = unname(t[, 4]),
       df_residual = round(df.residual(model)))
}
sleep <- transform(table("sleepstudy"), Subject = factor(Subject)); pen <- table("penicillin")
few <- subset(sleep, Days %in% c(0, 9))
count <- transform(subset(sleep, Days < 3), y = round((Reaction - 190) / 22))
uneven <- subset(pen, seq_len(nrow(pen)) %% 7 %in% c(1, 2, 4))
air <- na.omit(table("airquality")[, c("Ozone", "Solar.R", "Wind", "Temp")])
smooth <- gam(Ozone ~ s(Solar.R, bs = "ps", k = 10) + s(Wind, bs = "ps", k = 10) + s(Temp, bs = "ps", k = 10),
              data = air, method = "REML", control = tight)
set.seed(1); k <- k.check(smooth, n.rep = 4000)
car <- lm(mpg ~ factor(cyl) + wt, data = mtcars)
tukey <- rbind("6 - 4" = c(0, 1, 0, 0), "8 - 4" = c(0, 0, 1, 0), "8 - 6" = c(0, -1, 1, 0))
set.seed(1); joint <- glht(car, tukey)
fair <- table("fair"); fair <- fair[seq(1, nrow(fair), 10), ]
logit <- glm(I(affairs > 0) ~ age + yrs_married, binomial, fair, control = glm.control(epsilon = 1e-14))
plain <- function(m) unname(as.matrix(m))
q <- c(1.2, 0.7, 1.9, 1.1, 0.4); u <- c(0.20, 0.25, 0.16, 0.31, 0.22)
scalar <- function(...) { p <- pool.scalar(q, u, ...); p[c("qbar", "ubar", "b", "t", "df", "fmi")] }
out <- list(
  versions = list(R = R.version.string, mgcv = as.character(packageVersion("mgcv")),
                  mice = as.character(packageVersion("mice")), multcomp = as.character(packageVersion("multcomp")),
                  sandwich = as.character(packageVersion("sandwich"))),
  random_effect = list(
    sleepstudy = random(gam(Reaction ~ Days + s(Subject, bs = "re"), data = sleep, method = "REML", control = tight)),
    slopes = random(gam(Reaction ~ Days + s(Subject, bs = "re") + s(Subject, Days, bs = "re"), data = sleep, method = "REML", control = tight)),
    penicillin = random(gam(diameter ~ s(plate, bs = "re") + s(sample, bs = "re"), data = pen, method = "REML", control = tight)),
    uneven = random(gam(diameter ~ s(plate, bs = "re") + s(sample, bs = "re"), data = uneven, method = "REML", control = tight)),
    few = random(gam(Reaction ~ Days + s(Subject, bs = "re"), data = few, method = "REML", control = tight)),
    count = random(gam(y ~ Days + s(Subject, bs = "re"), data = count, family = poisson, method = "REML", control = tight))),
  concurvity = list(names = colnames(concurvity(smooth)), worst = unname(concurvity(smooth)["worst", ]),
                    observed = unname(concurvity(smooth)["observed", ]), estimate = unname(concurvity(smooth)["estimate", ])),
  k_check = list(index = unname(k[, "k-index"]), p_value = unname(k[, "p-value"])),
  comparison = list(loglik = as.numeric(logLik(smooth)), edf = sum(smooth$edf), edf1 = sum(smooth$edf1), edf2 = sum(smooth$edf2),
                    trace = sum(smooth$Vc * crossprod(smooth$R)) / smooth$sig2, aic = AIC(smooth)),
  contrasts = list(coef = unname(coef(car)), cov = unname(vcov(car)), df = df.residual(car), matrix = unname(tukey),
                   p_value = as.numeric(summary(joint, test = adjusted(type = "single-step", abseps = 1e-7, maxpts = 1e6))$test$pvalues),
                   quantile = as.numeric(attr(confint(joint)$confint, "calpha"))),
  sandwich = list(coef = unname(coef(logit)), hc0 = plain(vcovHC(logit, type = "HC0")), hc1 = plain(vcovHC(logit, type = "HC1")),
                  cl = plain(vcovCL(logit, fair$occupation, type = "HC1"))),
  pool = list(q = q, u = u, large = scalar(), small = scalar(n = 30, k = 3)))
write_json(out, "inference.json", digits = 14, auto_unbox = TRUE, pretty = TRUE)
