"""The papers behind the methods, by their address, as BibTeX.

Papers without a confirmed address have their BibTeX key in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["REFERENCES", "SOFTWARE", "Reference", "bibtex"]

DOI = "https://doi.org/"
SOFTWARE = "infobound"  # stands for this package among the references of a page


@dataclass(frozen=True)
class Reference:
    """A paper.

    Attributes:
        key: its BibTeX key.
        authors: their names, separated by " and ".
        title: its title.
        where: the journal, the book, or the conference.
        year: the year.
        kind: the kind of entry.
        volume: the volume.
        pages: the pages, or the number of the article.
    """

    key: str
    authors: str
    title: str
    where: str
    year: int
    kind: str = "article"
    volume: str = ""
    pages: str = ""

    def entry(self, address: str) -> str:
        """Return the BibTeX entry; fields that are unknown are left out.

        Example:
            >>> print(Reference("a2020", "A. Author", "Title", "Journal", 2020).entry("https://a.b"))
            @article{a2020,
              author = {A. Author},
              title = {{Title}},
              journal = {Journal},
              year = {2020},
              url = {https://a.b},
            }
        """
        place = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}
        lines = {
            "author": self.authors,
            "title": f"{{{self.title}}}",
            place.get(self.kind, "howpublished"): self.where,
            "volume": self.volume,
            "pages": self.pages,
            "year": str(self.year),
            "doi": address.removeprefix(DOI) if address.startswith(DOI) else "",
            "url": address if address.startswith("https://") else "",
        }
        fields = "\n".join(f"  {name} = {{{value}}}," for name, value in lines.items() if value)
        return f"@{self.kind}{{{self.key},\n{fields}\n}}"


_NEURIPS = "Advances in Neural Information Processing Systems"
_ICML = "International Conference on Machine Learning"
_ICLR = "International Conference on Learning Representations"
_STATISTICS = "The Annals of Statistics"
_JASA = "Journal of the American Statistical Association"

REFERENCES: dict[str, Reference] = {
    "https://arxiv.org/abs/1807.03748": Reference(
        "oord2018infonce",
        "van den Oord, Aaron and Li, Yazhe and Vinyals, Oriol",
        "Representation Learning with Contrastive Predictive Coding",
        "arXiv:1807.03748",
        2018,
    ),
    "https://arxiv.org/abs/1905.06922": Reference(
        "poole2019bounds",
        "Poole, Ben and Ozair, Sherjil and van den Oord, Aaron and Alemi, Alexander A. and "
        "Tucker, George",
        "On Variational Bounds of Mutual Information",
        _ICML,
        2019,
        "inproceedings",
        pages="5171--5180",
    ),
    "https://doi.org/10.1002/cpa.3160360204": Reference(
        "donsker1983asymptotic",
        "Donsker, Monroe D. and Varadhan, S. R. Srinivasa",
        "Asymptotic Evaluation of Certain Markov Process Expectations for Large Time. IV",
        "Communications on Pure and Applied Mathematics",
        1983,
        volume="36",
        pages="183--212",
    ),
    "https://arxiv.org/abs/1801.04062": Reference(
        "belghazi2018mine",
        "Belghazi, Mohamed Ishmael and Baratin, Aristide and Rajeswar, Sai and Ozair, Sherjil and "
        "Bengio, Yoshua and Courville, Aaron and Hjelm, R. Devon",
        "Mutual Information Neural Estimation",
        _ICML,
        2018,
        "inproceedings",
        pages="531--540",
    ),
    "https://arxiv.org/abs/0809.0853": Reference(
        "nguyen2010estimating",
        "Nguyen, XuanLong and Wainwright, Martin J. and Jordan, Michael I.",
        "Estimating Divergence Functionals and the Likelihood Ratio by Convex Risk Minimization",
        "IEEE Transactions on Information Theory",
        2010,
        volume="56",
        pages="5847--5861",
    ),
    "https://arxiv.org/abs/1808.06670": Reference(
        "hjelm2019deepinfomax",
        "Hjelm, R. Devon and Fedorov, Alex and Lavoie-Marchildon, Samuel and Grewal, Karan and "
        "Bachman, Phil and Trischler, Adam and Bengio, Yoshua",
        "Learning Deep Representations by Mutual Information Estimation and Maximization",
        _ICLR,
        2019,
        "inproceedings",
    ),
    "https://arxiv.org/abs/1910.06222": Reference(
        "song2020understanding",
        "Song, Jiaming and Ermon, Stefano",
        "Understanding the Limitations of Variational Mutual Information Estimators",
        _ICLR,
        2020,
        "inproceedings",
    ),
    "https://arxiv.org/abs/2107.01131": Reference(
        "guo2022tight",
        "Guo, Qing and Chen, Junya and Wang, Dong and Yang, Yuewei and Deng, Xinwei and "
        "Huang, Jing and Carin, Larry and Li, Fan and Tao, Chenyang",
        "Tight Mutual Information Estimation With Contrastive Fenchel-Legendre Optimization",
        _NEURIPS,
        2022,
        "inproceedings",
        volume="35",
        pages="28319--28334",
    ),
    "https://arxiv.org/abs/1608.00060": Reference(
        "chernozhukov2018double",
        "Chernozhukov, Victor and Chetverikov, Denis and Demirer, Mert and Duflo, Esther and "
        "Hansen, Christian and Newey, Whitney and Robins, James",
        "Double/Debiased Machine Learning for Treatment and Structural Parameters",
        "The Econometrics Journal",
        2018,
        volume="21",
        pages="C1--C68",
    ),
    "https://doi.org/10.1109/TAC.1974.1100705": Reference(
        "akaike1974new",
        "Akaike, Hirotugu",
        "A New Look at the Statistical Model Identification",
        "IEEE Transactions on Automatic Control",
        1974,
        volume="19",
        pages="716--723",
    ),
    "https://arxiv.org/abs/cond-mat/0305641": Reference(
        "kraskov2004estimating",
        'Kraskov, Alexander and St{\\"o}gbauer, Harald and Grassberger, Peter',
        "Estimating Mutual Information",
        "Physical Review E",
        2004,
        volume="69",
        pages="066138",
    ),
    "https://arxiv.org/abs/2010.09686": Reference(
        "waudbysmith2024betting",
        "Waudby-Smith, Ian and Ramdas, Aaditya",
        "Estimating Means of Bounded Random Variables by Betting",
        "Journal of the Royal Statistical Society Series B",
        2024,
        volume="86",
        pages="1--27",
    ),
    "https://arxiv.org/abs/1603.05766": Reference(
        "phipson2010permutation",
        "Phipson, Belinda and Smyth, Gordon K.",
        "Permutation P-values Should Never Be Zero: Calculating Exact P-values When Permutations "
        "Are Randomly Drawn",
        "Statistical Applications in Genetics and Molecular Biology",
        2010,
        volume="9",
        pages="39",
    ),
    "https://arxiv.org/abs/2012.06862": Reference(
        "harris2020shift",
        "Harris, Kenneth D.",
        "A Shift Test for Independence in Generic Time Series",
        "arXiv:2012.06862",
        2020,
    ),
    "https://arxiv.org/abs/2112.11666": Reference(
        "kim2022local",
        "Kim, Ilmun and Neykov, Matey and Balakrishnan, Sivaraman and Wasserman, Larry",
        "Local Permutation Tests for Conditional Independence",
        _STATISTICS,
        2022,
        volume="50",
        pages="3388--3414",
    ),
    "https://arxiv.org/abs/1804.07203": Reference(
        "shah2020hardness",
        "Shah, Rajen D. and Peters, Jonas",
        "The Hardness of Conditional Independence Testing and the Generalised Covariance Measure",
        _STATISTICS,
        2020,
        volume="48",
        pages="1514--1538",
    ),
    "https://arxiv.org/abs/2211.02039": Reference(
        "lundborg2024projected",
        "Lundborg, Anton Rask and Kim, Ilmun and Shah, Rajen D. and Samworth, Richard J.",
        "The Projected Covariance Measure for Assumption-Lean Variable Significance Testing",
        _STATISTICS,
        2024,
        volume="52",
        pages="2851--2878",
    ),
    "https://doi.org/10.1111/j.1751-5823.2005.tb00254.x": Reference(
        "demarta2005t",
        "Demarta, Stefano and McNeil, Alexander J.",
        "The t Copula and Related Copulas",
        "International Statistical Review",
        2005,
        volume="73",
        pages="111--129",
    ),
    "https://arxiv.org/abs/2306.11078": Reference(
        "czyz2023beyond",
        "Czy{\\.z}, Pawe{\\l} and Grabowski, Frederic and Vogt, Julia E. and "
        "Beerenwinkel, Niko and Marx, Alexander",
        "Beyond Normal: On the Evaluation of Mutual Information Estimators",
        _NEURIPS,
        2023,
        "inproceedings",
    ),
    "https://arxiv.org/abs/2402.10158": Reference(
        "hu2024infonet",
        "Hu, Zhengyang and Kang, Song and Zeng, Qunsong and Huang, Kaibin and Yang, Yanchao",
        "InfoNet: Neural Estimation of Mutual Information without Test-Time Optimization",
        _ICML,
        2024,
        "inproceedings",
    ),
    "https://doi.org/10.1111/j.2517-6161.1977.tb01600.x": Reference(
        "dempster1977maximum",
        "Dempster, Arthur P. and Laird, Nan M. and Rubin, Donald B.",
        "Maximum Likelihood from Incomplete Data via the EM Algorithm",
        "Journal of the Royal Statistical Society Series B",
        1977,
        volume="39",
        pages="1--38",
    ),
    "https://doi.org/10.1214/ss/1177013604": Reference(
        "hastie1986generalized",
        "Hastie, Trevor and Tibshirani, Robert",
        "Generalized Additive Models",
        "Statistical Science",
        1986,
        volume="1",
        pages="297--310",
    ),
    "https://doi.org/10.1214/aos/1176344136": Reference(
        "schwarz1978estimating",
        "Schwarz, Gideon",
        "Estimating the Dimension of a Model",
        _STATISTICS,
        1978,
        volume="6",
        pages="461--464",
    ),
    "https://doi.org/10.1016/S0893-6080(05)80023-1": Reference(
        "wolpert1992stacked",
        "Wolpert, David H.",
        "Stacked Generalization",
        "Neural Networks",
        1992,
        volume="5",
        pages="241--259",
    ),
    "https://doi.org/10.1016/S0047-259X(03)00096-4": Reference(
        "ledoit2004well",
        "Ledoit, Olivier and Wolf, Michael",
        "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices",
        "Journal of Multivariate Analysis",
        2004,
        volume="88",
        pages="365--411",
    ),
    "https://doi.org/10.1214/aos/1176345134": Reference(
        "wachter1980limiting",
        "Wachter, Kenneth W.",
        "The Limiting Empirical Measure of Multiple Discriminant Ratios",
        _STATISTICS,
        1980,
        volume="8",
        pages="937--957",
    ),
    "https://arxiv.org/abs/physics/0307138": Reference(
        "grassberger2003entropy",
        "Grassberger, Peter",
        "Entropy Estimates from Insufficient Samplings",
        "arXiv:physics/0307138",
        2003,
    ),
    "https://doi.org/10.1016/S0140-6736(86)90837-8": Reference(
        "bland1986statistical",
        "Bland, J. Martin and Altman, Douglas G.",
        "Statistical Methods for Assessing Agreement Between Two Methods of Clinical Measurement",
        "The Lancet",
        1986,
        volume="327",
        pages="307--310",
    ),
    "https://doi.org/10.1007/BF02289159": Reference(
        "mcgill1954multivariate",
        "McGill, William J.",
        "Multivariate Information Transmission",
        "Psychometrika",
        1954,
        volume="19",
        pages="97--116",
    ),
    "https://doi.org/10.1111/j.2517-6161.1995.tb02031.x": Reference(
        "benjamini1995controlling",
        "Benjamini, Yoav and Hochberg, Yosef",
        "Controlling the False Discovery Rate: A Practical and Powerful Approach to Multiple "
        "Testing",
        "Journal of the Royal Statistical Society Series B",
        1995,
        volume="57",
        pages="289--300",
    ),
    "https://arxiv.org/abs/2002.10689": Reference(
        "xu2020theory",
        "Xu, Yilun and Zhao, Shengjia and Song, Jiaming and Stewart, Russell and Ermon, Stefano",
        "A Theory of Usable Information under Computational Constraints",
        _ICLR,
        2020,
        "inproceedings",
    ),
    "https://doi.org/10.1016/S1007-0214(11)70008-6": Reference(
        "ma2011mutual",
        "Ma, Jian and Sun, Zengqi",
        "Mutual Information Is Copula Entropy",
        "Tsinghua Science and Technology",
        2011,
        volume="16",
        pages="51--54",
    ),
    "https://doi.org/10.1093/biomet/81.3.425": Reference(
        "donoho1994ideal",
        "Donoho, David L. and Johnstone, Iain M.",
        "Ideal Spatial Adaptation by Wavelet Shrinkage",
        "Biometrika",
        1994,
        volume="81",
        pages="425--455",
    ),
    "https://www.jmlr.org/papers/v13/brown12a.html": Reference(
        "brown2012conditional",
        "Brown, Gavin and Pocock, Adam and Zhao, Ming-Jie and Luj{\\'a}n, Mikel",
        "Conditional Likelihood Maximisation: A Unifying Framework for Information Theoretic "
        "Feature Selection",
        "Journal of Machine Learning Research",
        2012,
        volume="13",
        pages="27--66",
    ),
    "https://doi.org/10.1080/01621459.1973.10481350": Reference(
        "efron1973stein",
        "Efron, Bradley and Morris, Carl",
        "Stein's Estimation Rule and Its Competitors---An Empirical Bayes Approach",
        _JASA,
        1973,
        volume="68",
        pages="117--130",
    ),
    "https://doi.org/10.1080/01621459.1989.10478752": Reference(
        "friedman1989regularized",
        "Friedman, Jerome H.",
        "Regularized Discriminant Analysis",
        _JASA,
        1989,
        volume="84",
        pages="165--175",
    ),
    "https://doi.org/10.1080/01621459.1981.10477729": Reference(
        "friedman1981projection",
        "Friedman, Jerome H. and Stuetzle, Werner",
        "Projection Pursuit Regression",
        _JASA,
        1981,
        volume="76",
        pages="817--823",
    ),
    "https://doi.org/10.1007/BF00117832": Reference(
        "breiman1996stacked",
        "Breiman, Leo",
        "Stacked Regressions",
        "Machine Learning",
        1996,
        volume="24",
        pages="49--64",
    ),
    "https://doi.org/10.1016/j.jmva.2015.02.003": Reference(
        "cai2015law",
        "Cai, T. Tony and Liang, Tengyuan and Zhou, Harrison H.",
        "Law of Log Determinant of Sample Covariance Matrix and Optimal Estimation of Differential "
        "Entropy for High-Dimensional Gaussian Distributions",
        "Journal of Multivariate Analysis",
        2015,
        volume="137",
        pages="161--172",
    ),
    "https://arxiv.org/abs/1711.05101": Reference(
        "loshchilov2019decoupled",
        "Loshchilov, Ilya and Hutter, Frank",
        "Decoupled Weight Decay Regularization",
        _ICLR,
        2019,
        "inproceedings",
    ),
    "https://doi.org/10.1103/PhysRevLett.99.204101": Reference(
        "frenzel2007partial",
        "Frenzel, Stefan and Pompe, Bernd",
        "Partial Mutual Information for Coupling Analysis of Multivariate Time Series",
        "Physical Review Letters",
        2007,
        volume="99",
        pages="204101",
    ),
    "https://doi.org/10.1103/PhysRevE.100.022404": Reference(
        "holmes2019estimation",
        "Holmes, Caroline M. and Nemenman, Ilya",
        "Estimation of Mutual Information for Real-Valued Data with Error Bars and Controlled Bias",
        "Physical Review E",
        2019,
        volume="100",
        pages="022404",
    ),
    "https://doi.org/10.1103/PhysRevLett.85.461": Reference(
        "schreiber2000transfer",
        "Schreiber, Thomas",
        "Measuring Information Transfer",
        "Physical Review Letters",
        2000,
        volume="85",
        pages="461--464",
    ),
    "https://doi.org/10.1016/j.ins.2012.04.016": Reference(
        "lizier2012storage",
        "Lizier, Joseph T. and Prokopenko, Mikhail and Zomaya, Albert Y.",
        "Local Measures of Information Storage in Complex Distributed Computation",
        "Information Sciences",
        2012,
        volume="208",
        pages="39--54",
    ),
    "https://doi.org/10.2307/1912934": Reference(
        "white1980covariance",
        "White, Halbert",
        "A Heteroskedasticity-Consistent Covariance Matrix Estimator and a Direct Test for "
        "Heteroskedasticity",
        "Econometrica",
        1980,
        volume="48",
        pages="817--838",
    ),
    "haugh1976independence": Reference(
        "haugh1976independence",
        "Haugh, Larry D.",
        "Checking the Independence of Two Covariance-Stationary Time Series: A Univariate Residual "
        "Cross-Correlation Approach",
        _JASA,
        1976,
        volume="71",
        pages="378--385",
    ),
}


def bibtex(addresses: Iterable[str], version: str = "") -> str:
    """Return the entries of some methods, each once, in the order given.

    Args:
        addresses: keys of `REFERENCES`, or `SOFTWARE`.
        version: the version of this package.

    Raises:
        KeyError: If a method has no entry.

    Example:
        >>> bibtex(["infobound"], "0.1.0").splitlines()[0]
        '@software{infobound,'
    """
    entries = []
    for address in dict.fromkeys(addresses):
        if address == SOFTWARE:
            entries.append(
                "@software{infobound,\n  author = {{The infobound authors}},\n"
                "  title = {{infobound: mutual information between two samples}},\n"
                + f"  version = {{{version}}},\n" * bool(version)
                + "  year = {2026},\n}"
            )
        else:
            entries.append(REFERENCES[address].entry(address))
    return "\n\n".join(entries)
